//! Every key of a service file, once: the parser knows no other, and the schema is
//! made of the same table.

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Texts,
    /// A text, one of these.
    OneOf(&'static [&'static str]),
    /// A number and a unit.
    Span,
    /// A whole number, at least this.
    Number(u64),
    /// A table of texts, of any keys.
    TextTable,
    /// A table with keys of its own.
    Table(&'static [Key]),
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is for, in the schema and in what `check` says.
    pub(super) about: &'static str,
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about }
}

/// The keys of a file.
pub(super) const KEYS: &[Key] = &[
    key("program", Kind::Text, "What is started: a path from the root, or a name found in PATH."),
    key("arguments", Kind::Texts, "Its arguments."),
    key("directory", Kind::Text, "Its working directory, from the root."),
    key("environment", Kind::TextTable, "Variables it is given."),
    key(
        "inherit_environment",
        Kind::Texts,
        "The only variables of the server that it is given too; all where this is not said.",
    ),
    key("names", Kind::Texts, "The names it provides: it checks each in with a port of its own."),
    key(
        "queues",
        Kind::Texts,
        "Names of queues that the server keeps for it: it reads them with `Bootstrap::attend`, and \
         what it had not finished when it ended is handed to its successor.",
    ),
    key(
        "queue_messages",
        Kind::Number(1),
        "Messages that wait in each queue; 128 where this is not said, at most 65536.",
    ),
    key(
        "start",
        Kind::OneOf(&["on-demand", "at-start"]),
        "When it is started first: when somebody looks it up, or with the server.",
    ),
    key(
        "keep_alive",
        Kind::OneOf(&["never", "on-failure", "always"]),
        "After which ends it is started again without being asked for.",
    ),
    key("throttle", Kind::Span, "From one start to the next at least; 1s where this is not said."),
    key(
        "back_off",
        Kind::Span,
        "The pause after the second failed start in a row, which doubles; 100ms where this is not \
         said.",
    ),
    key("back_off_most", Kind::Span, "The longest such pause; 30s where this is not said."),
    key(
        "check_in_within",
        Kind::Span,
        "How long it may take to check in before it is ended; 30s where this is not said.",
    ),
    key(
        "idle_exit",
        Kind::Span,
        "How long its queues may be empty before it is told to end; for ever where this is not said.",
    ),
    key(
        "exit_timeout",
        Kind::Span,
        "From being told to end, by SIGTERM, to being killed; 5s where this is not said.",
    ),
    key(
        "log_bytes",
        Kind::Number(0),
        "What of its standard output and error is kept for `pillarbox logs`; 65536 where this is \
         not said, at most 16777216.",
    ),
    key("limits", Kind::Table(LIMITS), "What each of its processes may use at most."),
];

/// The keys of `limits`.
pub(super) const LIMITS: &[Key] = &[
    key("open_files", Kind::Number(16), "Descriptors (RLIMIT_NOFILE)."),
    key("memory_kib", Kind::Number(1024), "Address space in KiB (RLIMIT_AS)."),
    key("cpu_seconds", Kind::Number(1), "Time on a processor in seconds (RLIMIT_CPU)."),
    key("stack_kib", Kind::Number(64), "The stack of its first thread in KiB (RLIMIT_STACK)."),
    key("core_blocks", Kind::Number(0), "A core dump in blocks of 512 bytes (RLIMIT_CORE)."),
    key("file_blocks", Kind::Number(0), "A file it writes in blocks of 512 bytes (RLIMIT_FSIZE)."),
];

/// The option of the shell's `ulimit` that sets a limit.
pub(super) fn option(limit: &str) -> Option<char> {
    Some(match limit {
        "open_files" => 'n',
        "memory_kib" => 'v',
        "cpu_seconds" => 't',
        "stack_kib" => 's',
        "core_blocks" => 'c',
        "file_blocks" => 'f',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_an_option() {
        for key in LIMITS {
            assert!(option(key.name).is_some(), "{}", key.name);
        }
    }
}
