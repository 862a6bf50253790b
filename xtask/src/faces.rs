//! `cargo xtask install-faces`: the libraries and headers that C programs are built
//! with.
//!
//! Under the prefix each face has a folder of headers, a shared and a static library,
//! a file for pkg-config that finds them, and pages of the manual.

pub(crate) mod memory;
pub(crate) mod pages;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::child::count;
use crate::step::{Bench, Broken, Ending, Outcome, answers};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// Installs the libraries for C programs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to: `include`, `lib`, `lib/pkgconfig` and `share/man` are made there.
    #[arg(long)]
    prefix: PathBuf,
}

/// A library for C programs.
struct Face {
    /// What pkg-config calls it, and cargo.
    name: &'static str,
    /// Its folder.
    dir: &'static str,
    /// The library's name as the linker knows it.
    library: &'static str,
    about: &'static str,
}

const FACES: &[Face] = &[
    Face {
        name: "pillarbox-mach",
        dir: "faces/mach",
        library: "pillarbox_mach",
        about: "Mach ports for C programs",
    },
    Face {
        name: "pillarbox-qnx",
        dir: "faces/qnx",
        library: "pillarbox_qnx",
        about: "QNX message passing for C programs",
    },
];

/// Programs that are built and run with what was installed. The first word of a name is
/// the face it is for.
const EXAMPLES: &str = "examples/c";

/// How long one program may take.
const SHORT: Duration = Duration::from_secs(60);

/// What a static library needs beside itself.
const PRIVATE: &str = "-lpthread -ldl -lm";

/// Installs them.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let workspace = Workspace::load()?;
    let mut bench = Bench::new(&workspace, "install-faces");
    fs::create_dir_all(&options.prefix)
        .with_context(|| format!("cannot make {}", options.prefix.display()))?;
    let prefix = options.prefix.canonicalize()?;
    match install(&mut bench, &prefix) {
        Ok(()) => {
            let names: Vec<_> = FACES.iter().map(|face| face.name).collect();
            say(format_args!("{} under {}", names.join(", "), prefix.display()));
            Ok(Verdict::Good)
        }
        Err(broken) => {
            say(&broken.output);
            say(format_args!("failed: {}", broken.why));
            Ok(Verdict::Bad)
        }
    }
}

fn install(bench: &mut Bench, prefix: &Path) -> Result<(), Broken> {
    for face in FACES {
        bench.must(&mut bench.cargo(&format!("build --release --locked -p {}", face.name)))?;
        let built = bench.workspace.target.join("release");
        let (include, lib) = (prefix.join("include").join(face.name), prefix.join("lib"));
        copy_all(&bench.root().join(face.dir).join("include"), &include)?;
        fs::create_dir_all(lib.join("pkgconfig"))?;
        for ending in ["so", "a"] {
            let file = format!("lib{}.{ending}", face.library);
            // A program that runs keeps the library it has.
            let _ = fs::remove_file(lib.join(&file));
            fs::copy(built.join(&file), lib.join(&file))
                .with_context(|| format!("cannot copy {file}"))?;
        }
        pages::install(&bench.root().join(face.dir), prefix)?;
        fs::write(lib.join("pkgconfig").join(format!("{}.pc", face.name)), found(face, prefix))?;
    }
    Ok(())
}

/// What pkg-config reads.
fn found(face: &Face, prefix: &Path) -> String {
    let Face { name, library, about, .. } = face;
    format!(
        "prefix={}\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include/{name}\n\n\
         Name: {name}\nDescription: {about}\nVersion: {}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -Wl,-rpath,${{libdir}} -l{library}\nLibs.private: {PRIVATE}\n",
        prefix.display(),
        env!("CARGO_PKG_VERSION"),
    )
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The step of `cargo xtask check`: what is installed is found, and the examples in C
/// are built with it as anybody would, and run.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    if !answers(Command::new("pkg-config").arg("--version")) {
        return Ok(Outcome::Skipped("apt-get install pkg-config".into()));
    }
    let prefix = bench.workspace.target.join("faces");
    install(bench, &prefix)?;
    // Some look for others by their names.
    bench.must(&mut bench.cargo("build --locked -p pillarbox-cli"))?;
    let command = bench.workspace.target.join("debug/pillarbox");
    let server = Server::start(&command, prefix.join("names/boot.sock"))?;
    let mut run = 0;
    let mut programs: Vec<_> = fs::read_dir(bench.root().join(EXAMPLES))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "c"))
        .collect();
    programs.sort();
    for program in programs {
        let made = prefix.join(program.file_stem().unwrap_or_default());
        let face = face_of(&program)
            .ok_or_else(|| anyhow!("{} is for no face: see its name", program.display()))?;
        // As a user would say it, word for word.
        let line = "cc \"$1\" $(pkg-config --cflags --libs \"$3\") -o \"$2\"";
        let mut command = Command::new("sh");
        command.args(["-ec", line, "sh"]).arg(&program).arg(&made).arg(face.name);
        command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        bench.must(&mut command)?;
        let mut command = Command::new(&made);
        bench.must_within(command.env("PILLARBOX_SOCKET", &server.socket), SHORT)?;
        run += 1;
    }
    Ok(Outcome::Passed(count(run, "program")))
}

/// A bootstrap server, as long as this lives.
struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    fn start(command: &Path, socket: PathBuf) -> Result<Self> {
        let _ = fs::remove_file(&socket);
        let mut command = Command::new(command);
        command.arg("boot").arg("--socket").arg(&socket).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).spawn().context("cannot run pillarbox boot")?;
        let mut server = Server { child, socket };
        let since = Instant::now();
        while !server.socket.exists() {
            if let Some(status) = server.child.try_wait()? {
                bail!("pillarbox boot ended with {status}");
            }
            if since.elapsed() > SHORT {
                bail!("pillarbox boot does not listen");
            }
            // sleep: between two looks at what another process makes.
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The face that an example is for.
fn face_of(program: &Path) -> Option<&'static Face> {
    let name = program.file_name()?.to_str()?;
    let word = name.split_once('_')?.0;
    FACES.iter().find(|face| face.dir.strip_prefix("faces/") == Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_for_the_face_it_begins_with() {
        let name = |path| face_of(Path::new(path)).map(|face| face.name);
        assert_eq!(name("examples/c/mach_echo.c"), Some("pillarbox-mach"));
        assert_eq!(name("examples/c/qnx_server_and_client.c"), Some("pillarbox-qnx"));
        assert_eq!((name("examples/c/other_echo.c"), name("examples/c/qnx.c")), (None, None));
    }

    #[test]
    fn pkg_config_is_told_where_all_is() {
        let text = found(&FACES[0], Path::new("/opt/pillarbox"));
        for line in [
            "prefix=/opt/pillarbox",
            "Name: pillarbox-mach",
            "Cflags: -I${includedir}",
            "Libs: -L${libdir} -Wl,-rpath,${libdir} -lpillarbox_mach",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
