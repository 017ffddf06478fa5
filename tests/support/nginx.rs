//! A real nginx on loopback that serves a folder, and a real tcpdump beside it.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::has;
use super::port::Port;

/// A running nginx; stopped when dropped.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) port: u16,
    _kept: Port,
}

impl Nginx {
    /// Serves `folder/site`.
    pub(crate) fn start(folder: &Path) -> Self {
        let kept = Port::take();
        let port = kept.address.port();
        let root = folder.display();
        let configuration = format!(
            "daemon off;\nworker_processes 1;\npid {root}/nginx-{port}.pid;\n\
             error_log {root}/error.log;\n{user}\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; keepalive_requests 1000000; etag on; default_type \
             text/plain;\n\
               types {{ application/json json; text/html html; application/octet-stream bin; }}\n\
               gzip on; gzip_min_length 100; gzip_types application/json text/html;\n\
               client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path \
               {root}/t3; uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;\n\
               server {{ listen 127.0.0.1:{port}; root {root}/site; }} }}\n",
            user = if is_root() { "user root;\n" } else { "" },
        );
        let file = folder.join(format!("nginx-{port}.conf"));
        fs::write(&file, configuration).expect("the configuration is written");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.join("error.log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok(), "nginx listens");
        Self { child, port, _kept: kept }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// A running tcpdump on loopback.
pub(crate) struct Tcpdump {
    child: Child,
    file: std::path::PathBuf,
}

impl Tcpdump {
    /// Records `port` into `file`.
    pub(crate) fn start(port: u16, file: &Path) -> Self {
        let child = Command::new("tcpdump")
            .args(["-i", "lo", "-U", "-B", "16384", "-Z", "root", "-w"])
            .arg(file)
            .args(["tcp", "port", &port.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .expect("tcpdump starts");
        wait_for(|| fs::metadata(file).is_ok_and(|m| m.len() >= 24), "tcpdump records");
        Self { child, file: file.to_owned() }
    }

    /// Ends it once the file no longer grows.
    pub(crate) fn stop(mut self) {
        let mut before = 0;
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(200));
            let now = fs::metadata(&self.file).map_or(0, |m| m.len());
            if now == before {
                break;
            }
            before = now;
        }
        stop(&mut self.child);
    }
}

fn stop(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    for _ in 0..50 {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits, at most ten seconds.
pub(crate) fn wait_for(condition: impl Fn() -> bool, what: &str) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within ten seconds");
}

/// Whether the test runs as root.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"))
}

/// Why the tests with a real server cannot run here, if so.
pub(crate) fn missing() -> Option<String> {
    let programs: Vec<&str> =
        ["nginx", "tcpdump", "curl", "wrk"].into_iter().filter(|program| !has(program)).collect();
    match (programs.is_empty(), is_root()) {
        (false, _) => Some(format!("not installed: {}", programs.join(", "))),
        (true, false) => Some("tcpdump needs root".to_owned()),
        (true, true) => None,
    }
}
