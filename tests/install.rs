//! Operations section 8: `make install` puts every file where PREFIX and DESTDIR say, builds nothing, and `make uninstall`
//! takes them away; the Debian package holds the same; the unit and the container are what the page says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const INSTALLED: [&str; 13] = [
    "usr/bin/pico-tracker",
    "usr/bin/weightless",
    "usr/bin/weightless-litestream",
    "usr/bin/wl",
    "usr/lib/systemd/system/weightless.service",
    "usr/lib/systemd/system/wl-serve@.service",
    "usr/share/bash-completion/completions/wl",
    "usr/share/doc/weightless/LICENSE",
    "usr/share/fish/vendor_completions.d/wl.fish",
    "usr/share/man/man1/wl.1",
    "usr/share/man/man8/weightless.8",
    "usr/share/weightless/litestream.yml",
    "usr/share/zsh/site-functions/_wl",
];

#[test]
fn install_and_uninstall_below_prefix_and_destdir() {
    let home = tempfile::tempdir().expect("a folder");
    let (built, root) = (home.path().join("built"), home.path().join("root"));
    let refused = make("install", &built, &root);
    assert!(!refused.status.success() && !root.exists(), "it must not build");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("run make first"));

    build(&built);
    // Twice: an update installs over what is there.
    for _ in 0..2 {
        let output = make("install", &built, &root);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(files_below(&root), INSTALLED);
    }
    let unit = fs::read_to_string(root.join(INSTALLED[4])).expect("the unit");
    assert!(unit.contains("\nExecStart=/usr/bin/weightless\n") && !unit.contains("@BIN@"), "{unit}");
    assert_eq!(fs::read(root.join(INSTALLED[0])).expect("the link leads to the daemon"), b"weightless");

    assert!(make("uninstall", &built, &root).status.success());
    assert_eq!(files_below(&root), [""; 0]);
}

#[test]
fn the_debian_package_has_the_same_files_and_starts_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let (built, root) = (home.path().join("built"), home.path().join("root"));
    build(&built);
    run(Command::new("packaging/deb.sh").arg(&built));
    let package =
        fs::read_dir(built.join("deb")).expect("a folder").next().expect("a package").expect("it").path();
    let field =
        |name: &str| run(Command::new("dpkg-deb").arg("--field").arg(&package).arg(name)).trim().to_owned();
    let architecture = run(Command::new("dpkg").arg("--print-architecture")).trim().to_owned();
    assert_eq!(
        (field("Package").as_str(), field("Version").as_str()),
        ("weightless", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(field("Architecture"), architecture);
    assert!(field("Depends").starts_with("libc6 (>= "), "{}", field("Depends"));
    run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&root));
    let expected: Vec<_> = (INSTALLED.iter())
        .map(|file| match *file {
            "usr/share/doc/weightless/LICENSE" => "usr/share/doc/weightless/copyright".to_owned(),
            file if file.contains("/man/") => format!("{file}.gz"),
            file => file.to_owned(),
        })
        .collect();
    assert_eq!(files_below(&root), expected);
    let owners = run(Command::new("dpkg-deb").arg("--contents").arg(&package));
    assert!(owners.lines().all(|line| line.contains(" root/root ")), "{owners}");
    run(Command::new("dpkg-deb").arg("--control").arg(&package).arg(home.path().join("control")));
    for script in ["postinst", "prerm"] {
        let text = fs::read_to_string(home.path().join("control").join(script)).expect("a script");
        assert!(!text.contains("enable --now") && !text.contains("systemctl start"), "{text}");
        run(Command::new("sh").arg("-n").arg(home.path().join("control").join(script)));
    }
}

#[test]
fn the_unit_is_what_the_page_says() {
    let unit = read("packaging/weightless.service");
    for line in [
        "Type=exec",
        "ExecReload=kill -HUP $MAINPID",
        "Restart=on-failure",
        "TimeoutStopSec=20",
        "LimitNOFILE=1048576",
        "DynamicUser=yes",
        "StateDirectory=weightless",
        "EnvironmentFile=-/etc/weightless.env",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
    ] {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
    let seeder = read("packaging/wl-serve@.service");
    for line in [
        "ExecStart=@BIN@/wl serve --out %S/wl-serve/%i/%i.torrent $FLAGS ${DATA}",
        "EnvironmentFile=/etc/wl-serve/%i.env",
        "StateDirectory=wl-serve/%i",
        "DynamicUser=yes",
        "Restart=on-failure",
    ] {
        assert!(seeder.lines().any(|one| one == line), "{line}");
    }
}

/// No file but those of the sources comes into the build, nothing but two programs into the image.
#[test]
fn the_container_is_what_the_page_says_and_holds_no_settings() {
    let text = read("packaging/Dockerfile");
    let copied: Vec<_> =
        text.lines().filter(|line| line.starts_with("COPY ") || line.starts_with("ADD ")).collect();
    let named = [
        "COPY Cargo.toml Cargo.lock ./",
        "COPY src src",
        "COPY tools tools",
        "COPY bench bench",
        "COPY packaging/litestream.yml /usr/local/share/weightless/litestream.yml",
        "COPY packaging/weightless-litestream /usr/local/bin/weightless-litestream",
    ];
    assert!(copied.iter().all(|line| named.contains(line) || line.starts_with("COPY --from=")), "{copied:?}");
    for name in ["REGISTRY_KEY", "TRACKER_SECRET", "CONNECTION_ID_SECRET", "GCS_SECRET_KEY", "--env-file"] {
        assert!(!text.contains(name), "{name}");
    }
    assert!(text.contains("+crt-static"), "nothing is there that it could be linked with");
    for (stage, entry) in [("AS with-litestream", "weightless-litestream"), ("FROM scratch", "weightless")] {
        let lines: Vec<_> = text.lines().skip_while(|line| !line.contains(stage)).collect();
        let end =
            lines.iter().skip(1).position(|line| line.starts_with("FROM ")).map_or(lines.len(), |at| at + 1);
        for line in [
            "ENV DB_PATH=/data/weightless.db",
            "VOLUME /data",
            "USER 65532:65532",
            "EXPOSE 8080/tcp 1337/udp",
            "STOPSIGNAL SIGTERM",
            "HEALTHCHECK --interval=30s --timeout=4s CMD [\"/usr/local/bin/weightless\", \"--healthcheck\"]",
            &format!("ENTRYPOINT [\"/usr/local/bin/{entry}\"]"),
        ] {
            assert!(lines[..end].contains(&line), "{stage}: {line}");
        }
    }
    let ignored = read("packaging/Dockerfile.dockerignore");
    assert_eq!(ignored.lines().find(|line| !line.starts_with('#')), Some("*"), "what is let in is named");
    assert!(ignored.lines().any(|line| line == "**/.env*"));
}

/// What `make build` leaves, by its names.
fn build(built: &Path) {
    let pages = built.join("release/pages");
    fs::create_dir_all(&pages).expect("a folder");
    for name in ["weightless", "wl"] {
        let program = built.join("release").join(name);
        fs::write(&program, name).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our file");
    }
    for name in ["wl.1", "weightless.8", "wl.bash", "wl.zsh", "wl.fish"] {
        fs::write(pages.join(name), name).expect("a file");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Runs a program in the sources' folder that must succeed; what it printed.
fn run(command: &mut Command) -> String {
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn make(target: &str, built: &Path, root: &Path) -> Output {
    Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg(target)
        .arg(format!("OUT={}", built.display()))
        .arg(format!("DESTDIR={}", root.display()))
        .arg("PREFIX=/usr")
        // Of the make that may have started this test.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .expect("make exists")
}

fn files_below(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_owned());
            }
        }
    }
    files.sort();
    files
}
