use super::super::checks::tests::examined;
use super::super::examined::Examined;
use super::{permissions, seconds_apart};

#[test]
fn a_clock_is_wrong_if_no_moment_of_the_question_is_near_it() {
    let date = "Sat, 31 Jan 2026 12:00:00 GMT";
    let noon = 1_769_860_800;
    for (before, after, apart) in
        [(noon, noon, 0), (noon - 10, noon + 10, 0), (noon - 60, noon - 7, 7), (noon + 9, noon + 9, 9)]
    {
        assert_eq!(seconds_apart(date, before, after), Some(apart), "{before} {after}");
    }
    assert_eq!(seconds_apart("yesterday", noon, noon), None);
}

#[test]
fn a_settings_file_with_a_password_is_for_its_owner_and_group() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, examined) = examined();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, "").unwrap();
    let examined = Examined { file_with_secret: Some(path.clone()), ..examined };
    for (mode, count) in [(0o640, 0), (0o600, 0), (0o644, 1)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(permissions(&examined).len(), count, "{mode:o}");
    }
}
