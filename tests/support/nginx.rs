//! nginx that serves a folder: a web seed.

use super::until;
use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Ended by its own handle.
pub struct Nginx {
    child: Child,
    /// Where it answers.
    pub port: u16,
    log: PathBuf,
}

impl Nginx {
    /// Serves what is below `root`; its own files are in `home`.
    pub fn serve(home: &Path, root: &Path) -> Self {
        let python = env::var_os("WL_TEST_PYTHON").map(PathBuf::from);
        let beside = python.and_then(|python| Some(python.parent()?.parent()?.join("nginx/usr/sbin/nginx")));
        let program = beside.filter(|path| path.exists()).unwrap_or_else(|| "nginx".into());
        // The port was free a moment ago; somebody else may be faster.
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
            let port = free.expect("a port").port();
            let (at, root, log) = (home.display(), root.display(), home.join("access.log"));
            let config = format!(
                "daemon off; master_process off; pid {at}/nginx.pid; error_log stderr;\nevents {{}}\n\
                 http {{ access_log {}; client_body_temp_path {at}; proxy_temp_path {at}; \
                 fastcgi_temp_path {at}; uwsgi_temp_path {at}; scgi_temp_path {at};\n\
                 server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n",
                log.display()
            );
            fs::write(home.join("nginx.conf"), config).expect("a file");
            let mut command = Command::new(&program);
            command.args(["-e", "stderr", "-p"]).arg(home).arg("-c").arg(home.join("nginx.conf"));
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut child = child.expect("nginx: `make test` installs it");
            let is_up = until("nginx to listen or to end", || {
                let ended = child.try_wait().expect("a child").is_some();
                let up = TcpStream::connect(("127.0.0.1", port)).is_ok();
                (ended || up).then_some(!ended)
            });
            if is_up {
                return Self { child, port, log };
            }
        }
        panic!("nginx does not start")
    }

    /// The requests so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
