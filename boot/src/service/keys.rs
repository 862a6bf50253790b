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
    /// Numbers of users or groups.
    Ids,
    /// `true` or `false`.
    Truth,
    /// A table of texts, of any keys.
    TextTable,
    /// A table with keys of its own.
    Table(&'static [Key]),
    /// Several such tables.
    Tables(&'static [Key]),
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
    key(
        "user",
        Kind::Text,
        "As whom it runs: a name or a number; only a server of root's can. The server's own where \
         this is not said.",
    ),
    key(
        "group",
        Kind::Text,
        "As which group it runs, and no other; that of `user` where this is not said.",
    ),
    key(
        "sandbox",
        Kind::Table(SANDBOX),
        "What it and all that it starts can never gain: with this table no right by a \
         set-user-id program, and what stands in it.",
    ),
    key("limits", Kind::Table(LIMITS), "What each of its processes may use at most."),
    key(
        "cgroup",
        Kind::Table(CGROUP),
        "What all its processes may use together, where a cgroup of version 2 is delegated to the \
         server (`pillarbox doctor` says so); all that is in it ends with the service.",
    ),
    key(
        "entitlements",
        Kind::Texts,
        "What the process that is started is entitled to: labels that the rules of services ask \
         for. No other process has them, none of its children either.",
    ),
    key(
        "only",
        Kind::Texts,
        "The only names that its bootstrap right leads to, beside its own, if others let it look \
         them up: NAME, or NAME=ALIAS for what it is called there. All where this is not said. \
         What it starts itself finds no server at the usual place.",
    ),
    key(
        "look_up",
        Kind::Tables(RULE),
        "Who may look its names up: whom any of these rules lets in; the user of the server where \
         no rule is about a name.",
    ),
    key(
        "check_in",
        Kind::Tables(RULE),
        "Who may check in under its names, beside the process that the server has started: whom \
         any of these rules lets in; nobody where no rule is about a name.",
    ),
];

/// The keys of a rule. It lets in who meets each condition that it names.
pub(super) const RULE: &[Key] = &[
    key("names", Kind::Texts, "The names it is about; all of the service where this is not said."),
    key("own_user", Kind::Truth, "The user whose server it is, beside those of `uids`."),
    key("any_user", Kind::Truth, "Whatever user: to be said where no user is named."),
    key("uids", Kind::Ids, "Users, by their numbers."),
    key("gids", Kind::Ids, "Groups, by their numbers: the one a process runs as, no other of its."),
    key("entitlements", Kind::Texts, "Entitlements, of which it has one."),
    key(
        "executables",
        Kind::Texts,
        "Files, of which it runs one. This is advisory: who may trace a process can have it do \
         anything; so it stands beside another condition only.",
    ),
];

/// The keys of `sandbox`.
pub(super) const SANDBOX: &[Key] = &[
    key(
        "read",
        Kind::Texts,
        "What it may read and run, with all below; nothing but this and `write`, where either is \
         said (Landlock).",
    ),
    key("write", Kind::Texts, "What it may read, run, write and make, with all below."),
    key(
        "system_calls",
        Kind::OneOf(&["standard", "no-network"]),
        "Which system calls fail (seccomp): those that change or trace the system, and with \
         `no-network` sockets that lead elsewhere.",
    ),
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

/// The keys of `cgroup`.
pub(super) const CGROUP: &[Key] = &[
    key(
        "memory_kib",
        Kind::Number(1024),
        "Memory in KiB, with the files it has read (memory.max).",
    ),
    key("threads", Kind::Number(1), "Threads; a process has one at least (pids.max)."),
    key("cpu_percent", Kind::Number(1), "Time on processors: 150 is one and a half (cpu.max)."),
    key(
        "required",
        Kind::Truth,
        "Whether it is started within these bounds or not at all; it is started, and its log says \
         what is not in force, where this is not said.",
    ),
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
