// SPDX-License-Identifier: Apache-2.0
//! The socket for `tls-certs`: `TLSControl`.

use std::fs;
use std::path::Path;

use crate::base::directive::Directive;
use crate::key_process::control::ControlSettings;

/// `off`, or a path, which may be followed by `group` and the name or the number of a group.
pub(super) fn parse(directive: &Directive, server_root: &Path) -> Result<Option<ControlSettings>, String> {
    let words: Vec<&str> = directive.args.iter().map(String::as_str).collect();
    let (path, group) = match words.as_slice() {
        [off] if off.eq_ignore_ascii_case("off") => return Ok(None),
        [path] => (path, None),
        [path, word, group] if word.eq_ignore_ascii_case("group") => (path, Some(find_group(group)?)),
        _ => return Err("takes off, or the path of a socket, which may be followed by: group NAME".to_owned()),
    };
    Ok(Some(ControlSettings {
        path: server_root.join(path),
        group,
    }))
}

fn find_group(name: &str) -> Result<(String, u32), String> {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let number = name.parse().ok().or_else(|| number_of(&groups, name));
    let number = number
        .ok_or_else(|| format!("group: /etc/group has no group \"{name}\"; one from elsewhere goes by its number"))?;
    Ok((name.to_owned(), number))
}

/// The number of a group, from a file in the format of group(5).
fn number_of(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let matches = fields.next() == Some(name);
        fields.nth(1)?.parse().ok().filter(|_| matches)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostics::Origin;

    fn parsed(args: &[&str]) -> Result<Option<ControlSettings>, String> {
        let directive = Directive {
            name: "TLSControl".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            origin: Origin {
                file: "httpd.conf".into(),
                line: 1,
            },
            in_section: false,
        };
        parse(&directive, Path::new("/etc/httpd"))
    }

    #[test]
    fn places() {
        assert_eq!(parsed(&["OFF"]), Ok(None));
        let settings = parsed(&["run/tls", "group", "7"]).unwrap().unwrap();
        assert_eq!(settings.path, Path::new("/etc/httpd/run/tls"));
        assert_eq!(settings.group, Some(("7".to_owned(), 7)));
        assert_eq!(parsed(&["/run/tls"]).unwrap().unwrap().group, None);
        for wrong in [
            &["/a", "/b"][..],
            &["/a", "group"],
            &["/a", "user", "x"],
            &["/a", "group", "no such group"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn groups_are_found() {
        let groups = "root:x:0:\nbroken:x\nadm:x:4:syslog\n";
        assert_eq!(number_of(groups, "adm"), Some(4));
        assert_eq!(number_of(groups, "broken"), None);
        assert_eq!(number_of(groups, "ad"), None);
    }
}
