//! Running the demo as a user does, and looking at what it says.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A directory that is gone at the end of the test.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("pillarbox-demo-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a fresh directory");
        Place(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a file.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("a file is written");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The demo, to be started.
pub(crate) fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillarbox"));
    command.arg("demo").env_remove("PILLARBOX_SOCKET");
    command
}

/// Runs the demo to its end.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: &[A]) -> Output {
    demo().args(arguments).output().expect("the demo starts")
}

/// Runs the demo over `path`, which must succeed, and returns its figures.
pub(crate) fn figures(path: &Path) -> Value {
    let output = run(&[OsStr::new("--json"), path.as_os_str()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", path.display());
    assert_eq!(errors, "");
    parsed(&output.stdout)
}

/// One object on one line.
pub(crate) fn parsed(bytes: &[u8]) -> Value {
    assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1);
    serde_json::from_slice(bytes).expect("it is JSON")
}

/// A figure that is a number.
pub(crate) fn number(figures: &Value, name: &str) -> u64 {
    figures[name].as_u64().unwrap_or_else(|| panic!("{name} in {figures}"))
}

/// A source of chance with a seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A text like a README, of about `bytes`.
pub(crate) fn text(bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "a",
        "mailbox",
        "is",
        "the",
        "right",
        "to",
        "receive,",
        "naïve",
        "#",
        "owner's",
        "com.example.echo",
        "`send`",
    ];
    let mut dice = Dice(1);
    let mut text = Vec::with_capacity(bytes + 64);
    while text.len() < bytes {
        let roll = dice.roll();
        text.extend(WORDS[(roll % 12) as usize].bytes());
        text.extend(if roll >> 32 & 7 == 0 { &b"\n"[..] } else { b" " });
    }
    text
}
