//! Programs in C, for the tests of both faces: built as any user would, run, and held to
//! end by themselves and well.
//!
//! | variable             | says                                                        |
//! |----------------------|-------------------------------------------------------------|
//! | `PILLARBOX_C_FLAGS`  | what the compiler is told beside the rest                   |
//! | `PILLARBOX_C_RUNNER` | a command that programs are run under, and its arguments    |

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A face whose programs are built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Face {
    /// What its library and its folders are called by.
    pub(crate) name: &'static str,
    /// Its folder.
    pub(crate) home: &'static str,
    /// Where its tests may write.
    pub(crate) scratch: &'static str,
}

impl Face {
    /// A folder of this test's own.
    pub(crate) fn folder(self, name: &str) -> PathBuf {
        let own = format!("{}-{name}-{}", self.name, std::process::id());
        let folder = PathBuf::from(self.scratch).join(own);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Its headers.
    pub(crate) fn include(self) -> PathBuf {
        PathBuf::from(self.home).join("include")
    }

    /// Where the library lies that cargo built with this test.
    fn library(self) -> PathBuf {
        let own = std::env::current_exe().unwrap();
        let deps = own.parent().unwrap().to_owned();
        let library = deps.join(format!("libpillarbox_{}.so", self.name));
        assert!(library.exists(), "no library in {}", deps.display());
        deps
    }

    /// Builds a program of `tests/c`, without a warning.
    pub(crate) fn compile(self, compiler: &str, program: &str, to: &Path) -> PathBuf {
        let made = to.join(format!("{program}-{compiler}"));
        let library = self.library();
        let source = PathBuf::from(self.home).join("tests/c").join(format!("{program}.c"));
        let mut command = Command::new(compiler);
        command.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]);
        command.args(words("PILLARBOX_C_FLAGS"));
        command.arg("-I").arg(self.include()).arg(source).arg("-o").arg(&made);
        command.arg("-L").arg(&library).arg(format!("-lpillarbox_{}", self.name)).arg("-lpthread");
        command.arg(format!("-Wl,-rpath,{}", library.display()));
        must(&mut command);
        made
    }

    /// Every header by itself: nobody must know what to include before it. Then all in
    /// one, as C++, behind `begin`.
    pub(crate) fn each_header_stands_alone(self, begin: &str) {
        let include = self.include();
        let mut headers = Vec::new();
        let mut folders = vec![include.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    headers.push(path.strip_prefix(&include).unwrap().to_owned());
                }
            }
        }
        assert!(headers.len() > 10);
        headers.sort();
        let folder = self.folder("headers");
        for compiler in compilers() {
            for header in &headers {
                check_header(compiler, header, &include, &folder);
            }
        }
        let all = headers.iter().map(|header| format!("#include <{}>\n", header.display()));
        let source = folder.join("all.cc");
        std::fs::write(&source, format!("{begin}{}", all.collect::<String>())).unwrap();
        let mut command = Command::new(compilers()[0]);
        command.args(["-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]);
        must(command.arg("-I").arg(&include).arg(&source));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

fn check_header(compiler: &str, header: &Path, include: &Path, folder: &Path) {
    let source = folder.join("one.c");
    std::fs::write(&source, format!("#include <{}>\nint i;\n", header.display())).unwrap();
    let mut command = Command::new(compiler);
    command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]);
    must(command.args(["-fsyntax-only", "-I"]).arg(include).arg(&source));
}

/// The words of a variable.
fn words(variable: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The compilers of C that are here. One there must be.
pub(crate) fn compilers() -> Vec<&'static str> {
    let is_here = |name: &&str| {
        let asked = Command::new(name).arg("--version").stdout(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let found: Vec<_> = ["gcc", "clang", "cc"].into_iter().filter(is_here).collect();
    assert!(!found.is_empty(), "a C compiler is needed: apt-get install gcc");
    // The plain name is most often one of the others.
    match found.as_slice() {
        [named @ .., "cc"] if !named.is_empty() => named.to_vec(),
        _ => found,
    }
}

fn must(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a program, which must end by itself and well.
pub(crate) fn run(program: &Path, socket: &Path) -> String {
    let under = words("PILLARBOX_C_RUNNER");
    // One that has hung is ended. Some jump ten thousand times, and none is hurried.
    let most = Duration::from_secs(500);
    let mut command = match under.split_first() {
        None => Command::new(program),
        Some((runner, arguments)) => {
            let mut command = Command::new(runner);
            // Under another command all takes many times as long: see `jumps.h`.
            command.args(arguments).arg(program).env("JUMPS", "60");
            command
        }
    };
    command.env("PILLARBOX_SOCKET", socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Cargo would have it find what an earlier build has left.
    command.env_remove("LD_LIBRARY_PATH");
    let mut child = command.spawn().unwrap();
    // Read as it is said: who is not read waits in the midst of saying it.
    let (said, why) = (heard(child.stdout.take()), heard(child.stderr.take()));
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if since.elapsed() > most {
            child.kill().unwrap();
            break;
        }
        // sleep: between two looks at a process; it is not what is waited for.
        std::thread::sleep(Duration::from_millis(2));
    }
    let ended = child.wait().unwrap();
    let (said, why) = (said.join().unwrap(), why.join().unwrap());
    assert!(ended.success(), "{}: {ended}\n{said}{why}", program.display());
    said
}

/// All that comes out of a pipe.
fn heard(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.unwrap().read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Numbers that are the same each time (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// One below `below`.
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}
