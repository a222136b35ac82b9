//! The remote file of `wl create --stream`: asked for once, hashed as it comes, never stored.

use crate::Context;
use crate::failure::{Class, Failure};
use crate::hash::walk::{Rules, Tree};
use crate::http::{self, why};
use crate::overrun::Overrun;
use percent_encoding::percent_decode_str;
use std::io::Read;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Body, BodyReader};

/// A remote file whose first bytes are on their way.
pub struct Origin {
    /// Where it is.
    pub url: String,
    /// Its bytes as the server announced them.
    pub length: u64,
    body: BodyReader<'static>,
    overrun: Overrun,
}

/// Longest wait for a connection, for the head of an answer, and for the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: u32 = 5;

impl Origin {
    /// Sends the request and reads the head of the answer.
    pub fn open(context: &Context, url: &str) -> Result<Self, Failure> {
        let (agent, overrun) = Overrun::watch(&http::patient_agent(context, PATIENCE, REDIRECTS_MAX));
        let answer =
            agent.get(url).header("Accept-Encoding", "identity").header("Connection", "close").call();
        let answer = answer.map_err(|error| failure(url, why(&error)))?;
        let length = length(url, &answer)?;
        Ok(Self { url: url.to_string(), length, body: answer.into_body().into_reader(), overrun })
    }

    /// The torrent's files: this one.
    pub fn tree(&self, name: Option<&str>, rules: &Rules) -> Result<Tree, Failure> {
        let name = match name {
            Some(name) => Some(name.as_bytes().to_vec()),
            None => file_name(&self.url),
        };
        let name = name.ok_or_else(|| Failure::usage("cannot derive a name; pass --name"))?;
        Tree::remote(&self.url, name, self.length, rules)
    }

    /// Whether something came behind the announced end; known when all before it has been read.
    pub fn is_longer(&self) -> bool {
        self.overrun.happened()
    }

    /// What a failure while reading means.
    pub fn broken(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.another_length("shorter"),
            std::io::ErrorKind::TimedOut => failure(&self.url, "timeout"),
            _ => failure(&self.url, error.to_string()),
        }
    }

    /// A body that is not as long as its head said.
    pub fn another_length(&self, how: &str) -> Failure {
        failure(&self.url, format!("body is {how} than the {} bytes announced", self.length))
    }
}

impl Read for Origin {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.body.read(buffer)
    }
}

fn failure(url: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Network, format!("{url}: {why}"))
}

/// The length an acceptable answer announces.
fn length(url: &str, answer: &Response<Body>) -> Result<u64, Failure> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    match answer.status().as_u16() {
        200 => {}
        status @ 400..=499 => return Err(Failure::new(Class::Refused, format!("{url}: {status}"))),
        status => return Err(failure(url, status)),
    }
    let encoding = header("content-encoding").unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        return Err(failure(url, "the server sends another encoding of the file"));
    }
    let length = header("content-length").and_then(|length| length.trim().parse().ok());
    match length {
        Some(0) => Err(failure(url, "the file is empty")),
        Some(length) => Ok(length),
        None => Err(failure(url, "the server does not say how long the file is (Content-Length)")),
    }
}

/// The last segment of the URL's path, decoded. A slash that was hidden by an escape ends a segment too: it could be no
/// part of a name.
fn file_name(url: &str) -> Option<Vec<u8>> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.split(['?', '#']).next()?.split_once('/')?.1;
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let name = decoded.rsplit(|&b| b == b'/').next()?;
    let usable = !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
    usable.then(|| name.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_end_of_the_path() {
        for (url, name) in [
            ("http://h/a/data.bin", Some("data.bin")),
            ("https://h/My%20File.tar?x=/y#z", Some("My File.tar")),
            ("http://h/a%2Fb", Some("b")),
            ("http://h/%C3%A9", Some("é")),
            ("http://h/a/", None),
            ("http://h", None),
            ("http://h/a/..", None),
            ("http://h/%00", None),
        ] {
            assert_eq!(file_name(url).as_deref(), name.map(str::as_bytes), "{url}");
        }
    }
}
