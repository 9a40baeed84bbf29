// SPDX-License-Identifier: Apache-2.0
//! The options of `--check`.

use std::fs;

use crate::lockdown::Needs;

/// The options after `--check`; an error is a text for the user.
pub(crate) fn options(mut words: &[&str]) -> Result<Needs, String> {
    let mut needs = Needs::default();
    loop {
        words = match words {
            [] => return Ok(needs),
            ["--tokens", rest @ ..] => {
                needs.tokens = true;
                rest
            }
            ["--user", user, rest @ ..] => {
                needs.user = Some(parse_user(user)?);
                rest
            }
            ["--user"] => return Err("--user needs a name, or UID:GID".to_owned()),
            [other, ..] => return Err(format!("{other} is no option of --check")),
        }
    }
}

fn parse_user(text: &str) -> Result<(u32, u32), String> {
    if let Some((uid, gid)) = text.split_once(':') {
        let number = |part: &str| part.parse().map_err(|_| format!("{text}: UID:GID are two numbers"));
        return Ok((number(uid)?, number(gid)?));
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    find_user(&users, text)
        .ok_or_else(|| format!("/etc/passwd has no user {text}; a user from elsewhere goes as UID:GID"))
}

/// The identifiers of a user and its group, from a file in the format of passwd(5).
fn find_user(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let matches = fields.next() == Some(name);
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        matches.then_some((uid.parse().ok()?, gid.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood() {
        let needs = options(&["--tokens", "--user", "7:8"]).unwrap();
        assert!(needs.tokens);
        assert_eq!(needs.user, Some((7, 8)));
        assert_eq!(options(&[]).unwrap().user, None);
    }

    #[test]
    fn mistakes_are_named() {
        for (words, text) in [
            (&["--token"][..], "--token is no option of --check"),
            (&["--user"], "--user needs a name, or UID:GID"),
            (&["--user", "1:x"], "1:x: UID:GID are two numbers"),
        ] {
            assert_eq!(options(words).unwrap_err(), text);
        }
    }

    #[test]
    fn users_are_found() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nkeys:x:990:991::/:/usr/sbin/nologin\n";
        assert_eq!(find_user(users, "keys"), Some((990, 991)));
        assert_eq!(find_user(users, "key"), None);
        assert_eq!(find_user(users, "broken"), None);
    }
}
