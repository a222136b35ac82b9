//! The rules of configuration, each through `Config::load` as `main` calls it.

use super::*;
use std::collections::HashMap;

/// A command line, an environment and files in memory.
#[derive(Default)]
struct Start {
    argv0: &'static str,
    args: Vec<&'static str>,
    env: HashMap<&'static str, &'static str>,
    files: HashMap<&'static str, &'static str>,
}

impl Start {
    fn with(args: &[&'static str]) -> Self {
        Self { argv0: "weightless", args: args.to_vec(), ..Self::default() }
    }

    fn pico(args: &[&'static str]) -> Self {
        Self { argv0: "/usr/local/bin/pico-tracker", args: args.to_vec(), ..Self::default() }
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.insert(name, value);
        self
    }

    fn file(mut self, path: &'static str, text: &'static str) -> Self {
        self.files.insert(path, text);
        self
    }

    fn load(&self) -> Result<Command, ConfigError> {
        Config::load(
            OsStr::new(self.argv0),
            self.args.iter().map(OsString::from),
            |name| self.env.get(name).map(OsString::from),
            |path| match self.files.get(path.to_str().expect("ASCII paths")) {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        )
    }

    fn config(&self) -> Config {
        match self.load().expect("settings that are right") {
            Command::Run(config) | Command::CheckConfig(config) => *config,
            other => panic!("not to be run: {other:?}"),
        }
    }

    fn refusal(&self) -> String {
        self.load().expect_err("settings that are wrong").to_string()
    }
}

#[test]
fn defaults_are_those_of_the_manual() {
    let config = Start::with(&[]).config();
    assert_eq!((config.port, config.udp_port), (Some(8080), Some(1337)));
    assert_eq!(config.bind, [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()]);
    assert_eq!(config.db_path, DbPath::File("./weightless.db".into()));
    assert_eq!((config.max_peers, config.udp_max_peers, config.max_total_peers), (50, 200, 20_000_000));
    assert!(!config.open_tracker && !config.trust_ip_param && !config.debug);
    assert!(config.registry_key.is_none() && config.tracker_secret.is_none());
    assert_eq!((config.announce_interval, config.peer_ttl, config.flush_interval), (1800, 3600, 10));
    assert_eq!((config.rate_limit, config.rate_burst), (5, 10));
    assert_eq!((config.udp_rate_limit, config.udp_rate_burst), (50, 100));
    assert_eq!(config.log_filter(), "info");
    assert!(config.warnings.is_empty());
    assert_eq!(Config::default().report(), config.report());
}

#[test]
fn a_value_that_cannot_be_read_names_variable_value_and_range() {
    let refusal = Start::with(&[]).env("PORT", "abc").refusal();
    assert_eq!(refusal, "PORT: \"abc\" (environment) is not accepted: must be 0-65535 or off");
    for (name, value) in [
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "+80"),
        ("BIND", "localhost"),
        ("BIND", "0.0.0.0,"),
        ("OPEN_TRACKER", "maybe"),
        ("HUB_URL", "ftp://hub"),
        ("HUB_URL", "https://hub/in?key=1"),
        ("HUB_URL", "https://"),
        ("HUB_FORMAT", "Keyed"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("CORS_ORIGIN", "https://example.org/"),
        ("CORS_ORIGIN", "example.org"),
        ("PUBLIC_URL", "example.org"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "weightless=loud"),
    ] {
        let refusal = Start::with(&[]).env(name, value).refusal();
        assert!(refusal.starts_with(&format!("{name}: \"{value}\" (environment)")), "{refusal}");
    }
}

#[test]
fn every_range_that_the_table_states_is_the_range_that_is_checked() {
    let mut checked = 0;
    for row in ROWS {
        let numbers = row.range.split([',', ' ']).next().expect("one part");
        let Some((low, high)) =
            numbers.split_once('-').and_then(|(l, h)| Some((l.parse().ok()?, h.parse().ok()?)))
        else {
            continue;
        };
        let (low, high): (u64, u64) = (low, high);
        let accepts = |number: u64| {
            let text = if row.secret { "x".repeat(number as usize) } else { number.to_string() };
            (row.set)(&mut Config::blank(), Value(text.as_ref())).is_ok()
        };
        assert!(accepts(low) && accepts(high), "{}", row.name);
        // An empty secret is unset before it comes to its row.
        assert!(low == 0 || row.secret || !accepts(low - 1), "{}", row.name);
        assert!(!accepts(high + 1), "{}", row.name);
        checked += 1;
    }
    assert_eq!(checked, 17);
}

#[test]
fn a_secret_is_in_no_message_and_no_debug_text() {
    let long: &'static str = String::from("hunter2").repeat(200).leak();
    let refusal = Start::with(&[]).env("REGISTRY_KEY", long).refusal();
    assert_eq!(refusal, "REGISTRY_KEY: the value (environment) is not accepted: must be 1-1024 bytes");
    let start = Start::with(&["--registry-key", "hunter2-hunter2-hunter2"]);
    let config = start.config();
    assert_eq!(config.registry_key.as_ref().map(Secret::bytes), Some(&b"hunter2-hunter2-hunter2"[..]));
    let texts = [format!("{config:?}"), config.report(), format!("{:?}", config.warnings)].concat();
    assert!(!texts.contains("hunter2"), "{texts}");
    assert!(config.report().contains("set (23 bytes)"), "{}", config.report());
    assert_eq!(config.warnings.len(), 1, "a secret in the process list: {:?}", config.warnings);
    let refusal = Start::with(&[]).env("HUB_URL", "https://me:hunter2@hub").refusal();
    assert!(!refusal.contains("hunter2"), "{refusal}");
}

#[test]
fn a_passkey_secret_that_can_be_guessed_is_warned_about() {
    for (secret, warnings) in [("change-me", 1), ("123456789012345", 1), ("1234567890123456", 0)] {
        let config = Start::with(&[]).env("TRACKER_SECRET", secret).config();
        assert_eq!(config.warnings.len(), warnings, "{:?}", config.warnings);
    }
}

#[test]
fn unknown_flags_arguments_and_missing_values_are_refused() {
    assert_eq!(Start::with(&["--frobnicate"]).refusal(), "unknown flag --frobnicate: see --help");
    assert_eq!(Start::with(&["--frobnicate=1"]).refusal(), "unknown flag --frobnicate: see --help");
    assert_eq!(Start::with(&["-p", "1"]).refusal(), "unknown flag --p: see --help");
    assert_eq!(Start::with(&["--port"]).refusal(), "flag --port needs a value");
    assert_eq!(Start::with(&["--port="]).refusal(), "flag --port needs a value");
    assert_eq!(Start::with(&["--registry-key", "--debug"]).refusal(), "flag --registry-key needs a value");
    assert!(Start::with(&["serve"]).refusal().starts_with("unexpected argument \"serve\""));
    assert!(Start::with(&["--check-config", "--healthcheck"]).refusal().starts_with("only one of"));
}

#[test]
fn flag_before_environment_before_file_before_default() {
    let file = Start::with(&[]).file(".env.local", "PORT=9001\n");
    assert_eq!(file.config().port, Some(9001));
    let environment = file.env("PORT", "9002");
    assert_eq!(environment.config().port, Some(9002));
    let flag = Start { args: vec!["--port=9003"], ..environment };
    assert_eq!(flag.config().port, Some(9003));
    let config = Start::with(&["--debug"]).env("PORT", "").file(".env.local", "PORT=9001").config();
    assert_eq!(config.port, Some(9001), "an empty variable is unset");
    assert_eq!(config.origin.of("PORT"), Some(Source::File));
    assert_eq!(config.origin.of("DEBUG"), Some(Source::Flag));
    assert_eq!(config.origin.of("UDP_PORT"), Some(Source::Default));
    assert_eq!(config.origin.env_file(), Some(Path::new(".env.local")));
}

#[test]
fn flags_take_one_dash_or_two_and_booleans_need_no_value() {
    for args in [&["--port", "81"][..], &["--port=81"], &["-port", "81"], &["-port=81"]] {
        assert_eq!(Start::with(args).config().port, Some(81));
    }
    for (args, open) in [
        (&["--open-tracker"][..], true),
        (&["--open-tracker", "--debug"], true),
        (&["--open-tracker=NO"], false),
        (&["--open-tracker", "off"], false),
        (&["-open-tracker=1"], true),
    ] {
        assert_eq!(Start::with(args).config().open_tracker, open, "{args:?}");
    }
    assert_eq!(Start::with(&["--port", "1", "--port", "2"]).config().port, Some(2));
    let key = Start::with(&["--registry-key=--debug"]).config().registry_key.expect("given");
    assert_eq!(key.bytes(), b"--debug");
}

#[test]
fn the_environment_file_is_found_and_read_as_lines() {
    let text = "\u{feff}# a comment\n\n  PORT = 9001 \r\nREGISTRY_KEY=a key=with=signs\nnonsense\nOTHER=1\nPICO_TRACKER__X=1\n";
    let config = Start::with(&[]).file("/usr/local/bin/.env.local", text).config();
    assert_eq!(config.port, Some(9001));
    assert_eq!(config.registry_key.expect("given").bytes(), b"a key=with=signs");
    assert_eq!(
        config.warnings,
        ["/usr/local/bin/.env.local: line 5 has no =", "PICO_TRACKER__X is not a setting"]
    );
    let both = Start::with(&[]).file("/usr/local/bin/.env.local", "PORT=1").file(".env.local", "UDP_PORT=2");
    assert_eq!((both.config().port, both.config().udp_port), (Some(8080), Some(2)), "the first file only");
    let named = Start::with(&["--env-file", "mine"]).file("mine", "PORT=3").file(".env.local", "PORT=4");
    assert_eq!(named.config().port, Some(3));
    let missing = Start::with(&["--env-file=gone"]).refusal();
    assert_eq!(missing, "environment file gone: entity not found");
}

#[test]
fn a_variable_and_its_alias_may_not_differ() {
    assert_eq!(Start::with(&[]).env("PICO_TRACKER__PORT", "6969").config().udp_port, Some(6969));
    let both = Start::with(&[]).env("PICO_TRACKER__PORT", "6969").env("UDP_PORT", "6969");
    assert_eq!(both.config().udp_port, Some(6969));
    let refusal = both.env("UDP_PORT", "6970").refusal();
    assert!(refusal.starts_with("UDP_PORT and PICO_TRACKER__PORT mean the same"), "{refusal}");
    let unknown = unknown_variables(
        ["PICO_TRACKER__POTR", "PICO_TRACKER__SECRET", "HOME"].map(OsString::from).into_iter(),
    );
    assert_eq!(unknown, ["PICO_TRACKER__POTR is not a setting"]);
}

#[test]
fn booleans_are_words_of_either_case() {
    for (word, is) in
        [("true", true), ("1", true), ("Yes", true), ("ON", true), ("false", false), ("0", false)]
    {
        assert_eq!(Start::with(&[]).env("DEBUG", word).config().debug, is, "{word}");
    }
    assert_eq!(Start::with(&[]).env("DEBUG", "1").config().log_filter(), "debug");
    assert_eq!(Start::with(&["--debug"]).env("RUST_LOG", "warn").config().log_filter(), "warn");
}

#[test]
fn lists_paths_and_urls_become_what_they_mean() {
    let config = Start::with(&["--db", ":memory:", "--bind", "[::1], 127.0.0.1,::1"])
        .env("TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32")
        .env("CORS_ORIGIN", "https://Example.org, http://localhost:3000,http://[::1]:80")
        .env("PUBLIC_URL", "https://tracker.example.org/bt/")
        .config();
    assert_eq!(config.db_path, DbPath::Memory);
    assert_eq!(config.bind, [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()]);
    assert_eq!(config.trusted_proxies.len(), 2);
    let origins = ["https://example.org", "http://localhost:3000", "http://[::1]:80"].map(str::to_owned);
    assert_eq!(config.cors_origin, Some(CorsOrigin::List(origins.to_vec())));
    assert_eq!(config.public_url.as_deref(), Some("https://tracker.example.org/bt"));
    assert_eq!(Start::with(&["--cors-origin=*"]).config().cors_origin, Some(CorsOrigin::Any));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let refusal = Start::with(&["--peer-ttl=1800"]).refusal();
    assert_eq!(refusal, "PEER_TTL: 1800 is not accepted: must be 1801-604800 s, above ANNOUNCE_INTERVAL");
    assert_eq!(Start::with(&["--peer-ttl=1801"]).config().peer_ttl, 1801);
    assert!(Start::with(&["--port=off", "--udp-port=OFF"]).refusal().starts_with("PORT and UDP_PORT"));
}

#[test]
fn called_pico_tracker_it_is_the_udp_tracker_of_that_name() {
    let config = Start::pico(&[]).config();
    assert_eq!((config.port, config.udp_port), (None, Some(1337)));
    assert!(config.open_tracker);
    assert_eq!((config.db_path, config.announce_interval), (DbPath::Memory, 600));
    for args in [&["-port=6969"][..], &["-p", "6969"], &["--port", "6969"], &["--udp-port=6969"]] {
        let config = Start::pico(args).config();
        assert_eq!((config.port, config.udp_port), (None, Some(6969)), "{args:?}");
    }
    let config = Start::pico(&["-d", "-s", "0123456789", "-w=list"]).env("PORT", "80").config();
    assert!(config.debug && config.port == Some(80));
    assert_eq!(config.connection_id_secret.expect("given").bytes(), b"0123456789");
    assert_eq!(config.whitelist, Some("list".into()));
    assert!(matches!(Start::pico(&["-v"]).load(), Ok(Command::Version)));
    assert!(
        matches!(Start::pico(&["-help"]).load(), Ok(Command::Help(text)) if text.contains("-port, -p, -udp-port, UDP_PORT"))
    );
}

#[test]
fn help_and_version_need_no_settings_that_are_right() {
    let wrong = Start::with(&["--port=abc", "--help"]).env("UDP_PORT", "x");
    let Ok(Command::Help(text)) = wrong.load() else { panic!("no help") };
    for row in ROWS {
        assert!(text.contains(row.name) && text.contains(row.help), "{}", row.name);
        assert!(row.flag.is_none_or(|flag| text.contains(&format!("--{flag}, "))), "{}", row.name);
        assert!(settings_table().contains(&format!("| `{}`", row.name)));
    }
    for name in ["--env-file", "--check-config", "--usage-status", "--healthcheck", "--help", "--version"] {
        assert!(text.contains(name), "{name}");
    }
    assert!(matches!(Start::with(&["--version"]).load(), Ok(Command::Version)));
}

#[test]
fn names_and_flags_are_unique() {
    let names: Vec<_> = ROWS.iter().flat_map(|row| std::iter::once(row.name).chain(row.alias)).collect();
    for personality in [Personality::Weightless, Personality::PicoTracker] {
        let flags: Vec<_> = ROWS.iter().flat_map(|row| personality.flags_of(row)).collect();
        for list in [&names, &flags] {
            let unique: std::collections::HashSet<_> = list.iter().collect();
            assert_eq!(unique.len(), list.len(), "{list:?}");
        }
    }
}

#[test]
fn the_check_shows_every_value_with_its_source() {
    let start = Start::with(&["--check-config", "--udp-port=off"])
        .env("MAX_PEERS", "80")
        .file(".env.local", "DEBUG=1");
    assert!(matches!(start.load(), Ok(Command::CheckConfig(_))));
    let report = start.config().report();
    let line =
        |name: &str| report.lines().find(|line| line.starts_with(name)).expect(name).split_whitespace();
    assert_eq!(line("UDP_PORT ").collect::<Vec<_>>(), ["UDP_PORT", "off", "flag"]);
    assert_eq!(line("MAX_PEERS ").collect::<Vec<_>>(), ["MAX_PEERS", "80", "environment"]);
    assert_eq!(line("DEBUG ").collect::<Vec<_>>(), ["DEBUG", "1", "file"]);
    assert_eq!(line("WHITELIST ").collect::<Vec<_>>(), ["WHITELIST", "unset", "default"]);
}

#[test]
fn a_reload_takes_what_may_change_and_names_what_may_not() {
    let before = "REGISTRY_KEY=one\nMAX_PEERS=60\nRATE_LIMIT=7\n";
    let after = "REGISTRY_KEY=two\nMAX_PEERS=70\nDEBUG=on\nCORS_ORIGIN=*\n";
    let mut config = Start::with(&["--rate-burst=20"]).file(".env.local", before).config();
    let newer = Start::with(&["--rate-burst=20"]).file(".env.local", after).config();
    assert_eq!(config.reload(&newer), ["MAX_PEERS"]);
    assert_eq!(config.registry_key.as_ref().map(Secret::bytes), Some(&b"two"[..]));
    assert_eq!((config.max_peers, config.rate_limit, config.rate_burst), (60, 5, 20));
    assert!(config.debug && config.cors_origin == Some(CorsOrigin::Any));
    assert_eq!(config.reload(&newer), ["MAX_PEERS"], "until the restart");
}

#[test]
fn the_health_check_asks_on_loopback_when_it_can() {
    let probe = |args: &[&'static str]| Start::with(args).config().probe();
    let at = |text: &str| text.parse::<SocketAddr>().expect(text);
    assert_eq!(probe(&[]), Some(Probe::Http(at("127.0.0.1:8080"))));
    assert_eq!(probe(&["--bind=::"]), Some(Probe::Http(at("[::1]:8080"))));
    assert_eq!(probe(&["--bind=192.0.2.1,127.0.0.1"]), Some(Probe::Http(at("127.0.0.1:8080"))));
    assert_eq!(probe(&["--bind=192.0.2.1", "--port=off"]), Some(Probe::Udp(at("192.0.2.1:1337"))));
    assert_eq!(probe(&["--port=0"]), None);
    assert!(matches!(Start::with(&["--healthcheck"]).load(), Ok(Command::HealthCheck(_))));
    assert!(matches!(Start::with(&["--usage-status"]).load(), Ok(Command::UsageStatus(_))));
}
