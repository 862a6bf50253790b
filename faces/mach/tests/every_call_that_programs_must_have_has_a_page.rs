//! Every call that programs for Mach cannot do without has a page in the manual, and every
//! page is about calls and data that the headers have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The calls, by what their names begin with.
const CALLS: &[(&str, &str)] = &[
    (
        "mach_",
        "msg msg_overwrite msg_send msg_receive msg_destroy msg_server msg_server_once \
         reply_port task_self thread_self host_self error error_string error_type \
         vm_allocate vm_deallocate",
    ),
    (
        "mach_port_",
        "allocate allocate_name deallocate destroy mod_refs get_refs type names insert_right \
         extract_right request_notification move_member insert_member extract_member \
         get_set_status get_attributes set_attributes set_mscount set_seqno construct destruct \
         get_context set_context guard guard_with_flags unguard swap_guard",
    ),
    (
        "",
        "task_get_special_port task_set_special_port task_info task_get_exc_guard_behavior \
         task_set_exc_guard_behavior bootstrap_port bootstrap_check_in bootstrap_look_up \
         bootstrap_register bootstrap_strerror vm_allocate vm_deallocate vm_page_size \
         vm_page_mask NDR_record audit_token_to_pid audit_token_to_euid audit_token_to_ruid \
         audit_token_to_egid audit_token_to_auid audit_token_to_asid",
    ),
    (
        "mig_",
        "get_reply_port dealloc_reply_port put_reply_port reply_setup allocate deallocate strncpy",
    ),
];

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What all files of a folder say, one behind the other.
fn texts(folder: &Path) -> String {
    let mut all = String::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push_str(&fs::read_to_string(path).unwrap()),
            }
        }
    }
    all
}

#[test]
fn every_call_that_programs_must_have_has_a_page() {
    let pages = texts(&here().join("man"));
    let named: BTreeSet<&str> = pages
        .lines()
        .filter_map(|line| line.strip_prefix(".Nm "))
        .map(|name| name.trim_end_matches([' ', ',']))
        .collect();
    for (begin, calls) in CALLS {
        for call in calls.split_whitespace() {
            let call = format!("{begin}{call}");
            assert!(named.contains(call.as_str()), "no page is about {call}");
        }
    }
    let headers = texts(&here().join("include"));
    let words: BTreeSet<&str> =
        headers.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for name in named {
        assert!(words.contains(name), "no header has {name}, which a page is about");
    }
}
