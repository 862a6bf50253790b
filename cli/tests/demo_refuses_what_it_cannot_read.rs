//! A FILE that cannot be read is one clear line on standard error and exit code
//! 2, and nothing is started for it.

mod demo;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use demo::{Place, parsed, run};

fn refused(path: &Path, why: &str) {
    let output = run(&[path]);
    assert_eq!(output.status.code(), Some(2), "{}", path.display());
    assert_eq!(output.stdout, b"", "{}", path.display());
    let line = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert!(line.starts_with("pillarbox: ") && line.contains(why), "{line}");

    let output = run(&[Path::new("--json"), path]);
    assert_eq!(output.status.code(), Some(2));
    let told = parsed(&output.stdout);
    assert_eq!(told["ok"], false);
    assert_eq!(told["exit_code"], 2);
    assert!(told["message"].as_str().is_some_and(|message| message.contains(why)), "{told}");
}

#[test]
fn what_is_not_there_or_is_no_file() {
    let place = Place::new();
    refused(&place.path().join("missing"), "there is no such file");
    refused(&place.path().join("two\nlines"), "two\\nlines");
    refused(place.path(), "this is a directory");
    refused(Path::new("/dev/zero"), "may have no end");
    let socket = place.path().join("socket");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    refused(&socket, "neither a file nor a pipe");
    let file = place.file("file", b"x");
    refused(&file.join("below"), "cannot be read");
}

#[test]
fn what_one_may_not_read() {
    let place = Place::new();
    let path = place.file("secret", b"x");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).expect("it is ours");
    // To root no file is unreadable.
    if std::fs::File::open(&path).is_err() {
        refused(&path, "not allowed");
    }
}

#[test]
fn what_fails_only_when_it_is_read() {
    // It opens, and has no byte at its beginning.
    refused(Path::new("/proc/self/mem"), "cannot be read");
}

#[test]
fn a_name_that_is_no_text_is_a_name() {
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let path = place.path().join(name);
    std::fs::write(&path, b"one two\n").expect("a file");
    let output = run(&[&path]);
    assert!(output.status.success());
}

#[test]
fn no_file_is_a_wrong_argument() {
    for arguments in [&[][..], &["--json"], &["a", "b"], &[""], &["--role", "client"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(output.stdout, b"");
        assert!(!output.stderr.is_empty());
    }
}
