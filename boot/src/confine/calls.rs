//! Which system calls fail: two profiles, by name.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::ConfineError;

/// Which system calls fail, with an error and no signal: a program finds out, and goes on
/// without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemCalls {
    /// Those that change the system or its clock, load code into the kernel, mount, trace
    /// other processes or make namespaces.
    Standard,
    /// Those too, and sockets that are not of this machine: messages need UNIX sockets only.
    NoNetwork,
}

/// What fails with `EPERM`.
const STANDARD: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    // Its requests pass no filter.
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// The same calls by other numbers: the small ABI of x86-64 sets this bit.
const SMALL_ABI: i64 = 0x4000_0000;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

impl SystemCalls {
    /// Every profile.
    pub const ALL: [SystemCalls; 2] = [SystemCalls::Standard, SystemCalls::NoNetwork];

    /// What a service file calls it.
    pub const fn name(self) -> &'static str {
        match self {
            SystemCalls::Standard => "standard",
            SystemCalls::NoNetwork => "no-network",
        }
    }

    /// The profile that is called so.
    pub fn named(name: &str) -> Option<SystemCalls> {
        SystemCalls::ALL.into_iter().find(|calls| calls.name() == name)
    }

    /// Has them fail for this thread from now on.
    pub(super) fn restrict(self) -> Result<(), ConfineError> {
        let told = |error: seccompiler::Error| ConfineError::Calls(error.to_string());
        for program in self.programs().map_err(ConfineError::Calls)? {
            apply_filter(&program).map_err(told)?;
        }
        Ok(())
    }

    /// One program for each error.
    fn programs(self) -> Result<Vec<BpfProgram>, String> {
        let mut standard: Rules = STANDARD.iter().map(|call| (*call, Vec::new())).collect();
        let namespaces = NAMESPACES.iter().map(|flag| {
            let flag = u64::from(flag.cast_unsigned());
            rule(SeccompCmpOp::MaskedEq(flag), flag)
        });
        standard.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
        // Its flags lie in memory, where no filter looks: who finds it missing uses the other.
        let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
        let mut programs = vec![program(standard, libc::EPERM)?, program(clone3, libc::ENOSYS)?];
        if self == SystemCalls::NoNetwork {
            let unix = u64::from(libc::AF_UNIX.cast_unsigned());
            let socket = Rules::from([(libc::SYS_socket, vec![rule(SeccompCmpOp::Ne, unix)?])]);
            programs.push(program(socket, libc::EAFNOSUPPORT)?);
        }
        Ok(programs)
    }
}

/// Where the first argument is so.
fn rule(is: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, is, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| error.to_string())
}

fn program(mut rules: Rules, error: i32) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    if cfg!(target_arch = "x86_64") {
        let small: Rules =
            rules.iter().map(|(call, rules)| (call | SMALL_ABI, rules.clone())).collect();
        rules.extend(small);
    }
    let fails = SeccompAction::Errno(error.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, fails, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_name_and_a_program() {
        for calls in SystemCalls::ALL {
            assert_eq!(SystemCalls::named(calls.name()), Some(calls));
            assert!(calls.programs().unwrap().iter().all(|program| program.len() < 4096));
        }
        assert_eq!(SystemCalls::named("lax"), None);
    }
}
