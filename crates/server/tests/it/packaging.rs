//! What `packaging/dist` refuses to package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
fn a_package_says_what_it_was_built_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, shown) in
        [("debug", "1.0.0 (debug build)"), ("tarball", "1.0.0"), ("release", "1.0.0 (0123456789ab)")]
    {
        fs::write(path(name), format!("#!/bin/sh\necho 'crossbar-groups {shown}'\n")).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(path("empty.json"), "{}\n").unwrap();
    fs::write(path("parts.json"), "{\"components\": [{\"purl\": \"pkg:cargo/libc@0.2.0\"}]}\n").unwrap();
    for (binary, parts, words) in [
        ("debug", "parts.json", "is a debug build"),
        ("tarball", "parts.json", "does not say which commit it is"),
        ("release", "empty.json", "lists no parts"),
        ("release", "missing.json", "run make sbom"),
    ] {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/dist");
        let output = Command::new(script).args([path(binary), path("out"), path(parts)]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words), "{binary}, {parts}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!path("out").exists());
    }
}
