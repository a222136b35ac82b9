//! The daemon: reads its settings, opens the store, binds its sockets, and hands all of it to the reactor.

use std::ffi::OsString;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use weightless::base::{Now, limits};
use weightless::config::{
    Command, Config, ConfigError, CorsOrigin, DbPath, HubFormat, Probe, unknown_variables,
};
use weightless::hub::{self, Hub};
use weightless::logging::{self, Lines};
use weightless::reactor::{self, Ended, Ends, Listen, Reactor, Seat};
use weightless::server::{Origins, ProcessStats, Server, Settings};
use weightless::store::{self, StoreConfig};
use weightless::tracker::whitelist::Whitelist;
use weightless::tracker::{Access, Policy};
use weightless::whitelist::Watcher;
use weightless::wire::passkey::{self, PasskeyKey};

fn main() -> ExitCode {
    match load_config() {
        Ok(Command::Help(text)) => say(&text),
        Ok(Command::Version) => say(&format!("weightless {VERSION} ({COMMIT})\n")),
        Ok(Command::CheckConfig(config)) => check_config(&config),
        Ok(Command::HealthCheck(config)) => health_check(&config),
        Ok(Command::Backup(config, to)) => backup(&config, &to),
        Ok(Command::UsageStatus(config)) => usage_status(&config),
        Ok(Command::Run(config)) => run(&config),
        Err(error) => {
            eprintln!("weightless: {error}");
            ExitCode::from(2)
        }
    }
}

/// Reads the settings: once at start, and again on SIGHUP.
fn load_config() -> Result<Command, ConfigError> {
    let mut args = std::env::args_os();
    let argv0 = args.next().unwrap_or_else(|| OsString::from("weightless"));
    Config::load(&argv0, args, |name| std::env::var_os(name), |path| std::fs::read(path))
}

/// Prints what counts, and looks at what it points to.
fn check_config(config: &Config) -> ExitCode {
    let report = config.report();
    let Some(path) = &config.whitelist else { return say(&report) };
    match std::fs::read(path) {
        Ok(bytes) => {
            let mut bad = 0;
            let list = Whitelist::parse(&bytes, |_| bad += 1);
            say(&format!("{report}whitelist: {} info hashes, {bad} lines that are none\n", list.len()))
        }
        Err(error) => {
            say(&report);
            eprintln!("weightless: WHITELIST {}: {error}", path.display());
            ExitCode::from(2)
        }
    }
}

/// Copies the database, also while a tracker serves from it.
fn backup(config: &Config, to: &Path) -> ExitCode {
    let DbPath::File(from) = &config.db_path else {
        eprintln!("weightless: --backup: DB_PATH is :memory:, there is nothing to copy");
        return ExitCode::from(2);
    };
    match store::backup(from, to) {
        Ok(bytes) => say(&format!("{} bytes of {} are in {}\n", bytes, from.display(), to.display())),
        Err(error) => {
            eprintln!("weightless: --backup: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the accounts of a database hold, also while a tracker serves from it.
fn usage_status(config: &Config) -> ExitCode {
    let DbPath::File(path) = &config.db_path else {
        eprintln!("weightless: --usage-status: DB_PATH is :memory:, there is nothing to read");
        return ExitCode::from(2);
    };
    match store::usage_status(path) {
        Ok(text) => say(&text),
        Err(error) => {
            eprintln!("weightless: --usage-status: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Config) -> ExitCode {
    let log = logging::start(config.log_format, config.log_filter());
    logging::end_on_panic();
    let names = std::env::vars_os().map(|(name, _)| name);
    let unknown = unknown_variables(names);
    config.warnings.iter().chain(&unknown).for_each(|warning| log::warn!("{warning}"));
    if rustix::process::geteuid().is_root() {
        log::warn!("running as root, which nothing here needs: use a user of its own");
    }
    match serve(config, log) {
        Ok(Ended::Cleanly) => ExitCode::SUCCESS,
        Ok(Ended::AtOnce(signal)) => std::process::exit(128 + signal),
        Ok(Ended::TooLate) => {
            log::error!("the database was too slow: what counts is its last flush");
            std::process::exit(1)
        }
        Err(why) => {
            log::error!("{why}");
            // Whoever silenced the log still wants to know why nothing was started.
            if !log::log_enabled!(log::Level::Error) {
                eprintln!("weightless: {why}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Everything that can fail is done before the ready line; after it the daemon serves.
fn serve(config: &Config, log: Lines) -> Result<Ended, String> {
    let descriptors = raise_descriptor_limit();
    let passkey = Arc::new(RwLock::new(passkey_key(config)));
    let store_config = StoreConfig {
        path: store_path(&config.db_path),
        wal_autocheckpoint: config.wal_autocheckpoint,
        strip_passkey: strip_passkey(&passkey),
    };
    let (opened, loaded) = store::open(&store_config).map_err(|error| error.to_string())?;
    let listen = Listen { addresses: config.bind.clone(), tcp: config.port, udp: config.udp_port };
    let bound =
        reactor::bind(&listen).map_err(|(address, error)| format!("cannot listen on {address}: {error}"))?;
    let (seat, waker) = Reactor::prepare(bound).map_err(|error| format!("cannot poll: {error}"))?;
    let watcher = config.whitelist.clone().map(|path| {
        let waker = waker.clone();
        Watcher::start(path, move || drop(waker.wake()))
    });
    let mut settings = settings(config, descriptors)?;
    settings.udp_port = seat.bound().udp_port;
    settings.whitelist = watcher.as_ref().and_then(|watcher| watcher.lists.recv().ok()).unwrap_or_default();
    let server = Server::new(settings, random_u64()?, &loaded, Seat::now());
    drop(loaded);
    let store = opened.start(move || drop(waker.wake()));
    let ready = ready_line(&seat);
    let ends = Ends {
        to_writer: store.to_writer.clone(),
        to_reader: store.to_reader.clone(),
        from_store: store.from_store.clone(),
        lists: watcher.as_ref().map_or_else(crossbeam_channel::never, |watcher| watcher.lists.clone()),
    };
    let telling = Arc::new(RwLock::new(hub_settings(config)));
    let (to_writer, batches, hub_seed) = (store.to_writer.clone(), store.hub_mail.clone(), random_u64()?);
    // Its thread is there from the first time that there is a hub.
    let mut hub: Option<Hub> = None;
    let mut tell = move |config: &Config| {
        let settings = hub_settings(config);
        let is_on = settings.is_some();
        *telling.write().unwrap_or_else(PoisonError::into_inner) = settings;
        match &hub {
            Some(hub) => hub.look_now(),
            None if is_on => {
                hub = Some(Hub::start(telling.clone(), hub_seed, to_writer.clone(), batches.clone()));
            }
            None => {}
        }
    };
    tell(config);
    let mut current = config.clone();
    let reload = Box::new(move |now: Now, server: &mut Server| {
        if let Some(watcher) = &watcher {
            watcher.look_now();
        }
        reload(&mut current, now, server, descriptors);
        tell(&current);
        log.set_filter(current.log_filter());
        *passkey.write().unwrap_or_else(PoisonError::into_inner) = passkey_key(&current);
    });
    let reactor = seat.with(server, ends, reload).map_err(|error| format!("cannot poll: {error}"))?;
    // A supervisor may have closed it, or read its first line and gone.
    let _ = writeln!(std::io::stdout(), "{ready}").and_then(|()| std::io::stdout().flush());
    let ended = reactor.run().map_err(|error| format!("the poll failed: {error}"))?;
    if ended == Ended::Cleanly {
        store.join();
    }
    Ok(ended)
}

/// SIGHUP: takes over what may change. A value that cannot be read leaves everything as it was.
fn reload(current: &mut Config, now: Now, server: &mut Server, descriptors: u64) {
    let newer = match load_config() {
        Ok(Command::Run(newer)) => newer,
        Ok(_) => return,
        Err(error) => return log::error!("settings are not reloaded: {error}"),
    };
    for name in current.reload(&newer) {
        log::warn!("{name} has changed, but needs a restart");
    }
    match settings(current, descriptors) {
        Ok(settings) => {
            server.reload(now, settings);
            log::info!("settings reloaded");
        }
        Err(error) => log::error!("settings are not reloaded: {error}"),
    }
}

fn ready_line(seat: &Seat) -> String {
    let (tcp, udp) = (seat.bound().tcp_port, seat.bound().udp_port);
    let mut line = format!("Weightless Tracker {VERSION} ({COMMIT}) live on ");
    match (tcp, udp) {
        (Some(tcp), Some(udp)) => line.push_str(&format!(":{tcp}, udp :{udp}")),
        (Some(tcp), None) => line.push_str(&format!(":{tcp}")),
        (None, Some(udp)) => line.push_str(&format!("udp :{udp}")),
        (None, None) => line.push_str("nothing"),
    }
    line
}

fn settings(config: &Config, descriptors: u64) -> Result<Settings, String> {
    let access = match (&config.whitelist, config.open_tracker) {
        (Some(_), _) => Access::Listed,
        (None, true) => Access::Open,
        (None, false) => Access::Registered,
    };
    let wanted = if config.max_connections == 0 { 1_000_000 } else { config.max_connections };
    let possible = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS).max(1);
    let secret = match &config.connection_id_secret {
        Some(secret) => secret.bytes().to_vec(),
        None => random_bytes()?.to_vec(),
    };
    Ok(Settings {
        policy: Policy {
            access,
            peer_ttl_s: config.peer_ttl,
            idt_peer_ttl_s: config.idt_peer_ttl,
            flush_interval_s: config.flush_interval,
            total_peers_max: config.max_total_peers,
        },
        peers_max: config.max_peers,
        udp_peers_max: config.udp_max_peers,
        interval_s: config.announce_interval,
        rate: (config.rate_limit, config.rate_burst),
        udp_rate: (config.udp_rate_limit, config.udp_rate_burst),
        trusted_proxies: config.trusted_proxies.clone(),
        trust_ip_param: config.trust_ip_param,
        origins: match config.cors_origin.clone() {
            None => Origins::None,
            Some(CorsOrigin::Any) => Origins::Any,
            Some(CorsOrigin::List(list)) => Origins::Listed(list),
        },
        public_url: config.public_url.clone(),
        udp_port: None,
        registry_key: config.registry_key.as_ref().map(|key| key.bytes().to_vec()),
        tracker_secret: config.tracker_secret.as_ref().map(|secret| secret.bytes().to_vec()),
        whitelist: Whitelist::default(),
        connection_id_secret: secret,
        connections_max: u64::from(wanted).min(possible) as u32,
        process: process_stats,
        version: (VERSION, COMMIT),
    })
}

fn hub_settings(config: &Config) -> Option<hub::Settings> {
    Some(hub::Settings {
        url: config.hub_url.clone()?,
        key: config.registry_key.as_ref().map(|key| key.bytes().to_vec()),
        format: match config.hub_format {
            HubFormat::Keyed => hub::Format::Keyed,
            HubFormat::Legacy => hub::Format::Legacy,
        },
        version: VERSION,
    })
}

fn store_path(path: &DbPath) -> store::DbPath {
    match path {
        DbPath::File(path) => store::DbPath::File(path.clone()),
        DbPath::Memory => store::DbPath::Memory,
    }
}

/// Uploaded torrents must not publish their uploader's passkey: anybody could announce as that user.
/// The key is the one that counts at that moment: SIGHUP may change it.
fn strip_passkey(key: &Arc<RwLock<Option<PasskeyKey>>>) -> store::StripPasskey {
    let key = key.clone();
    Arc::new(move |url| {
        let key = key.read().unwrap_or_else(PoisonError::into_inner);
        passkey::strip_from_url(url, key.as_ref()?)
    })
}

fn passkey_key(config: &Config) -> Option<PasskeyKey> {
    config.tracker_secret.as_ref().map(|secret| PasskeyKey::new(secret.bytes()))
}

/// As many descriptors as the system lets us have; each connection is one.
fn raise_descriptor_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let limit = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    if limit < 256 {
        log::warn!("only {limit} file descriptors are allowed; most connections will be turned away");
    }
    limit
}

/// What /proc says about this process; zeros where there is no /proc.
fn process_stats() -> ProcessStats {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let status = read("/proc/self/status");
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    // User and system time stand behind the name, which may hold anything but is the last thing in parentheses.
    let stat = read("/proc/self/stat");
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|number| number.parse::<u64>().ok()).sum();
    let open_fds = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let max_fds =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).map_or(0, |limit| limit.0);
    ProcessStats {
        // A tick is 10 ms on every Linux that this is built for.
        cpu_ms: ticks * 10,
        resident_bytes: kib("VmRSS:") * 1024,
        virtual_bytes: kib("VmSize:") * 1024,
        open_fds,
        max_fds,
    }
}

fn random_bytes() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

fn random_u64() -> Result<u64, String> {
    let bytes = random_bytes()?;
    Ok(u64::from_le_bytes(std::array::from_fn(|at| bytes[at])))
}

fn health_check(config: &Config) -> ExitCode {
    let healthy = match config.probe() {
        Some(Probe::Http(address)) => probe_http(address),
        Some(Probe::Udp(address)) => probe_udp(address),
        None => Err("port 0 cannot be asked".to_owned()),
    };
    match healthy {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("weightless: not healthy: {why}");
            ExitCode::FAILURE
        }
    }
}

fn probe_http(address: std::net::SocketAddr) -> Result<(), String> {
    use std::io::Read;
    let begun = std::time::Instant::now();
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PROBE)?;
        stream.set_read_timeout(Some(PROBE.saturating_sub(begun.elapsed()).max(Duration::from_millis(1))))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 64];
        let bytes = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..bytes]).into_owned())
    };
    let answer = ask().map_err(|error| format!("{address}: {error}"))?;
    let line = answer.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("{address}: {line}")) }
}

fn probe_udp(address: std::net::SocketAddr) -> Result<(), String> {
    use weightless::wire::udp_tracker;
    let ask = || -> std::io::Result<bool> {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(PROBE))?;
        let mut request = Vec::new();
        udp_tracker::write_connect_request(&mut request, 1);
        socket.send_to(&request, address)?;
        let mut answer = [0; 64];
        Ok(socket.recv(&mut answer)? == 16)
    };
    match ask() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{address}: not a tracker's answer")),
        Err(error) => Err(format!("{address}: {error}")),
    }
}

/// Prints what was asked for. Whoever has read enough may close the pipe; a full disk is a failure.
fn say(text: &str) -> ExitCode {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("weightless: cannot print: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// How long a health check waits in all; the daemon itself gives its store 2 s.
const PROBE: Duration = Duration::from_millis(2_700);
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, set by the Makefile.
const COMMIT: &str = match option_env!("BUILD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
