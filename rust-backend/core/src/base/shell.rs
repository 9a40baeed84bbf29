// SPDX-License-Identifier: Apache-2.0
//! Quoting for commands in messages, which administrators copy into a shell.

use std::path::Path;

/// A path, quoted for a shell.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_quoted() {
        assert_eq!(shell_word(Path::new("/etc/ssl/a-b_c.pem")), "/etc/ssl/a-b_c.pem");
        assert_eq!(shell_word(Path::new("it's")), r"'it'\''s'");
    }
}
