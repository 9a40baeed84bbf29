// SPDX-License-Identifier: Apache-2.0
//! The options of the program.

use std::fs;

use crate::lockdown::{Needs, User};

/// What the options, which may follow `--check`, ask for; an error is a text for the user.
pub(crate) fn options(mut words: &[&str]) -> Result<Needs, String> {
    let mut needs = Needs::default();
    let mut user = None;
    loop {
        words = match words {
            [] => {
                needs.user = user.map(|name| parse_user(name, needs.tokens)).transpose()?;
                return Ok(needs);
            }
            ["--tokens", rest @ ..] => {
                needs.tokens = true;
                rest
            }
            ["--user", name, rest @ ..] => {
                user = Some(*name);
                rest
            }
            ["--user"] => return Err("--user needs a name, or UID:GID".to_owned()),
            [other, ..] => return Err(format!("{other} is no option of --check")),
        }
    }
}

/// A user by name, with its groups if they are of use, or by numbers.
fn parse_user(text: &str, with_groups: bool) -> Result<User, String> {
    if let Some((uid, gid)) = text.split_once(':') {
        let number = |part: &str| part.parse().map_err(|_| format!("{text}: UID:GID are two numbers"));
        return Ok(User {
            uid: number(uid)?,
            gid: number(gid)?,
            groups: Vec::new(),
        });
    }
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (uid, gid) = find_user(&read("/etc/passwd")?, text)
        .ok_or_else(|| format!("/etc/passwd has no user {text}; a user from elsewhere goes as UID:GID"))?;
    let groups = match with_groups {
        true => find_groups(&read("/etc/group")?, text),
        false => Vec::new(),
    };
    Ok(User { uid, gid, groups })
}

/// The identifiers of the groups that have a user as a member, from a file in the format of group(5).
fn find_groups(groups: &str, user: &str) -> Vec<u32> {
    let group = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let (gid, members) = (fields.next()?, fields.next()?);
        let is_member = members.split(',').any(|member| member == user);
        gid.parse().ok().filter(|_| is_member)
    };
    groups.lines().filter_map(group).collect()
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
        let user = User {
            uid: 7,
            gid: 8,
            groups: Vec::new(),
        };
        assert_eq!(needs.user, Some(user));
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

    #[test]
    fn groups_are_found() {
        let groups = "root:x:0:\nbroken:x:7\nsofthsm:x:115:ods,keys\nkeysmiths:x:116:keysmith\nothers:x:117:keys\n";
        assert_eq!(find_groups(groups, "keys"), [115, 117]);
        assert_eq!(find_groups(groups, "root"), [0; 0]);
    }
}
