//! As whom a service runs.
//!
//! Names are looked for in `/etc/passwd` and `/etc/group`, and nowhere else; numbers are
//! themselves. That is done at each start, so a user may be made after the server began.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has `command` run as `user` and `group`. Other groups are left behind.
///
/// # Errors
/// Why it cannot be, for those who wait for the service.
pub(super) fn run_as(
    command: &mut Command,
    user: Option<&str>,
    group: Option<&str>,
) -> Result<(), String> {
    let own = rustix::process::geteuid();
    let (mut uid, mut gid) = (None, None);
    if let Some(user) = user {
        let (number, primary) = match find("/etc/passwd", user)? {
            Some(fields) => (field(&fields, 2), field(&fields, 3)),
            None => (user.parse().ok(), None),
        };
        uid = Some(number.ok_or_else(|| format!("there is no user {user}"))?);
        gid = primary;
    }
    if let Some(group) = group {
        let number = match find("/etc/group", group)? {
            Some(fields) => field(&fields, 2),
            None => group.parse().ok(),
        };
        gid = Some(number.ok_or_else(|| format!("there is no group {group}"))?);
    }
    let same = uid.is_none_or(|uid| uid == own.as_raw())
        && gid.is_none_or(|gid| gid == rustix::process::getegid().as_raw());
    if same {
        return Ok(());
    }
    if !own.is_root() {
        return Err("only a server of root's starts a service as another user".to_owned());
    }
    match (uid, gid) {
        (Some(_), None) => {
            return Err("its user is in no list, so its group must be named".to_owned());
        }
        (uid, gid) => {
            // The user last: who is not root may not change groups.
            gid.map(|gid| command.gid(gid));
            uid.map(|uid| command.uid(uid));
        }
    }
    Ok(())
}

/// The fields of the line about `name`, which is a name or a number.
fn find(list: &str, name: &str) -> Result<Option<Vec<String>>, String> {
    let text = std::fs::read_to_string(list).map_err(|error| format!("{list}: {error}"))?;
    Ok(line_of(&text, name))
}

fn line_of(text: &str, name: &str) -> Option<Vec<String>> {
    let lines = || text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let named = lines().find(|fields| fields.first() == Some(&name));
    let found = named.or_else(|| {
        let number: u32 = name.parse().ok()?;
        lines().find(|fields| fields.get(2).and_then(|it| it.parse().ok()) == Some(number))
    })?;
    Some(found.into_iter().map(str::to_owned).collect())
}

fn field(fields: &[String], place: usize) -> Option<u32> {
    fields.get(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_name_and_by_number() {
        let text = "root:x:0:0::/root:/bin/sh\nada:x:1000:100::/:/bin/sh\n7:x:9:9::/:\n";
        let of = |name| line_of(text, name).map(|it| (field(&it, 2), field(&it, 3)));
        assert_eq!(of("ada"), Some((Some(1000), Some(100))));
        assert_eq!(of("1000"), of("ada"));
        // A name comes before a number.
        assert_eq!(of("7"), Some((Some(9), Some(9))));
        assert_eq!(of("bob"), None);
        assert_eq!(of("1001"), None);
    }

    #[test]
    fn who_is_not_there_is_told() {
        let mut command = Command::new("true");
        let told = run_as(&mut command, Some("nobody-of-this-name"), None).unwrap_err();
        assert_eq!(told, "there is no user nobody-of-this-name");
        let told = run_as(&mut command, None, Some("nobody-of-this-name")).unwrap_err();
        assert_eq!(told, "there is no group nobody-of-this-name");
        let own = rustix::process::geteuid().as_raw().to_string();
        assert_eq!(run_as(&mut command, Some(&own), None), Ok(()));
    }
}
