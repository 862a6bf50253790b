//! Service files are found in their directories, the first of one name counts, and one
//! that others could have written is not believed.

mod family;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use boot::service::{Found, find};
use family::Place;

const GOOD: &str = "program = \"/bin/true\"\nnames = [\"a\"]\n";

fn write(place: &Place, name: &str, text: &str) {
    std::fs::write(place.path().join(name), text).unwrap();
    mode(&place.path().join(name), 0o644);
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn one(place: &Place) -> Found {
    let mut found = find(&[place.path().to_path_buf()]).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn why(found: Found) -> String {
    found.file.unwrap_err().remove(0).what
}

#[test]
fn they_are_found_in_order_and_the_first_of_a_name_counts() {
    let (user, system) = (Place::new(), Place::new());
    write(&user, "b.toml", GOOD);
    write(&user, "a.toml", "nonsense");
    write(&user, "notes.txt", "no service");
    write(&system, "b.toml", "nonsense");
    write(&system, "c.toml", GOOD);
    let nowhere = user.path().join("nowhere");
    let found = find(&[nowhere, user.path().to_path_buf(), system.path().to_path_buf()]).unwrap();
    let told: Vec<(&str, bool)> =
        found.iter().map(|found| (found.label.as_str(), found.file.is_ok())).collect();
    assert_eq!(told, [("a", false), ("b", true), ("c", true)]);
}

#[test]
fn what_others_may_write_is_not_believed() {
    let place = Place::new();
    write(&place, "a.toml", GOOD);
    assert!(one(&place).file.is_ok());
    for open in [0o664, 0o646, 0o666] {
        mode(&place.path().join("a.toml"), open);
        let told = why(one(&place));
        assert!(told.contains(&format!("{open:04o}")), "{told}");
    }
    mode(&place.path().join("a.toml"), 0o600);
    mode(place.path(), 0o770);
    let told = why(one(&place));
    assert!(told.contains("its directory has mode 0770"), "{told}");
    mode(place.path(), 0o700);
    assert!(one(&place).file.is_ok());
}

#[test]
fn what_is_no_file_of_text_is_told() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("a.toml")).unwrap();
    assert!(why(one(&place)).contains("cannot be read"));
    std::fs::remove_dir(place.path().join("a.toml")).unwrap();
    std::fs::write(place.path().join("a.toml"), [0xff; 100]).unwrap();
    mode(&place.path().join("a.toml"), 0o600);
    assert!(why(one(&place)).contains("cannot be read"));
    write(&place, "a.toml", &"#".repeat(boot::limits::SERVICE_FILE_BYTES + 1));
    assert!(why(one(&place)).contains("longer than"));
}
