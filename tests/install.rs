//! `make install` puts every file where PREFIX and DESTDIR say, builds nothing, and `make uninstall` takes them away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const INSTALLED: [&str; 12] = [
    "usr/bin/pico-tracker",
    "usr/bin/weightless",
    "usr/bin/weightless-litestream",
    "usr/bin/wl",
    "usr/lib/systemd/system/weightless.service",
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

    fs::create_dir_all(built.join("release")).expect("a folder");
    for name in ["weightless", "wl"] {
        let program = built.join("release").join(name);
        fs::write(&program, name).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our file");
    }
    let pages = built.join("release/pages");
    fs::create_dir_all(&pages).expect("a folder");
    for name in ["wl.1", "weightless.8", "wl.bash", "wl.zsh", "wl.fish"] {
        fs::write(pages.join(name), name).expect("a file");
    }
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
