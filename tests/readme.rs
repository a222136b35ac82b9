//! The README's table of settings is the program's.

use std::fs;
use std::path::Path;

#[test]
fn the_settings_of_the_readme_are_those_of_the_program() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let (_, rest) = page.split_once("<!-- settings:").expect("the mark before the table");
    let (_, rest) = rest.split_once("-->\n").expect("the end of the mark");
    let (shown, _) = rest.split_once("<!-- end of settings -->").expect("the mark behind the table");
    let table = weightless::config::settings_table();
    assert!(
        shown == table,
        "README.md shows other settings than the program has; this is the table:\n\n{table}"
    );
}
