//! A door with TLS before something that speaks without, and the authority that has signed for it. Keys and
//! certificates are made by openssl, in the folder of the test.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

/// An authority, and a certificate for 127.0.0.1 signed by it.
pub struct Authority {
    /// The authority's own certificate: whoever trusts it trusts the door.
    pub root: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// A new one, unknown to the world, with its files in `home`.
    pub fn new(home: &Path, name: &str) -> Self {
        let at = |part: &str| home.join(format!("{name}-{part}.pem"));
        let (root, root_key) = (at("root"), at("root-key"));
        let (certificate, key) = (at("certificate"), at("key"));
        openssl(
            &format!("/CN={name}"),
            &["-addext", "keyUsage=critical,keyCertSign"],
            &root_key,
            &root,
            None,
        );
        let names =
            ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
        openssl("/CN=hub", &names, &key, &certificate, Some((&root, &root_key)));
        Self { root, certificate, key }
    }

    /// A door that leads to `inner`, with the certificate; its address. It ends with the test's process.
    pub fn door_to(&self, inner: SocketAddr) -> SocketAddr {
        let certificate = CertificateDer::from_pem_file(&self.certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that ring knows")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("they belong together");
        let config = Arc::new(config);
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let at = door.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in door.incoming().map_while(Result::ok) {
                let session = ServerConnection::new(config.clone()).expect("a whole configuration");
                thread::spawn(move || pass_on(StreamOwned::new(session, stream), inner));
            }
        });
        at
    }
}

/// One request, and its answer. What fails is the other side's to notice.
fn pass_on(mut outer: StreamOwned<ServerConnection, TcpStream>, inner: SocketAddr) -> Option<()> {
    let mut inner = TcpStream::connect(inner).ok()?;
    let mut buffer = [0; 65536];
    let mut request = Vec::new();
    loop {
        let length = outer.read(&mut buffer).ok().filter(|length| *length > 0)?;
        request.extend_from_slice(&buffer[..length]);
        if is_whole(&request) {
            break;
        }
    }
    inner.write_all(&request).ok()?;
    let mut answer = Vec::new();
    inner.read_to_end(&mut answer).ok()?;
    outer.write_all(&answer).ok()?;
    outer.conn.send_close_notify();
    outer.flush().ok()?;
    outer.sock.shutdown(Shutdown::Write).ok()
}

/// Whether a message has its head and as many bytes behind it as that says.
fn is_whole(message: &[u8]) -> bool {
    let Some(end) = message.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.map_or(0, |text| text.trim().parse().expect("a number"));
    message.len() >= end + 4 + length
}

/// Makes a key and a certificate for it, signed by `authority` or by itself.
fn openssl(subject: &str, more: &[&str], key: &Path, certificate: &Path, authority: Option<(&Path, &Path)>) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "2", "-subj", subject]).args(more);
    command.arg("-keyout").arg(key).arg("-out").arg(certificate);
    if let Some((root, root_key)) = authority {
        command.arg("-CA").arg(root).arg("-CAkey").arg(root_key);
    }
    let made = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
