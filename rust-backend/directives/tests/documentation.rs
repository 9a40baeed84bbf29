// SPDX-License-Identifier: Apache-2.0
//! The documentation has what the tables say. With `MOD_TLS_WRITE_DOCS` in the environment it is written instead.

use std::path::{Path, PathBuf};

use mod_tls_directives::{docs, own};

fn document(name: &str) -> (PathBuf, String) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let path = docs.canonicalize().unwrap().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The text between two headings of the second level, and the heading that it follows.
struct Section<'a> {
    heading: &'a str,
    body: &'a str,
}

/// The sections of `docs/directives.md` that are about a directive each.
fn sections(text: &str) -> Vec<Section<'_>> {
    text.split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(heading, body)| Section { heading, body })
        .filter(|section| section.heading.starts_with("TLS"))
        .collect()
}

impl<'a> Section<'a> {
    /// What follows the list at the beginning of the section.
    fn prose(&self) -> &'a str {
        let body = self.body.trim_start_matches('\n');
        let list: usize = body
            .split_inclusive('\n')
            .take_while(|line| line.starts_with("- "))
            .map(str::len)
            .sum();
        body[list..].trim_start_matches('\n')
    }
}

#[test]
fn each_directive_has_its_section_in_the_order_of_the_table() {
    let (_, text) = document("directives.md");
    let documented: Vec<&str> = sections(&text).iter().map(|section| section.heading).collect();
    for row in own::TABLE {
        assert!(
            documented.contains(&row.name),
            "docs/directives.md has no section that begins with\n\n## {}\n\n{}",
            row.name,
            docs::block(row)
        );
    }
    let rows: Vec<&str> = own::TABLE.iter().map(|row| row.name).collect();
    assert_eq!(
        documented, rows,
        "sections of docs/directives.md, and rows of src/own.rs"
    );
}

#[test]
fn sections_begin_with_the_block_of_their_directive() {
    let (path, mut text) = document("directives.md");
    let mut wrong = String::new();
    for section in sections(&text.clone()) {
        let Some(row) = own::find(section.heading) else {
            continue;
        };
        let block = docs::block(row);
        let body = format!("\n{block}\n{}", section.prose());
        if section.body != body {
            wrong += &format!("\n## {}\n\n{block}", section.heading);
            let heading = format!("\n## {}\n", section.heading);
            text = text.replace(&format!("{heading}{}", section.body), &format!("{heading}{body}"));
        }
    }
    settle(&path, &text, &wrong);
}

#[test]
fn the_tables_of_mod_ssls_directives_are_those_of_the_rows() {
    const BEGIN: &str = "<!-- begin: generated -->\n\n";
    const END: &str = "<!-- end: generated -->";
    let (path, text) = document("moving-from-mod_ssl.md");
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (list, after) = rest.split_once(END).unwrap();
    let right = docs::mod_ssl_tables();
    let is_line_missing = |line: &&str| !list.lines().any(|other| other == *line);
    let wrong: Vec<&str> = right.lines().filter(is_line_missing).collect();
    let wrong = match list == right {
        true => String::new(),
        false => format!("{}\n(and no other lines)", wrong.join("\n")),
    };
    settle(&path, &format!("{before}{BEGIN}{right}{END}{after}"), &wrong);
}

/// Writes `text` if that is wanted; else there has to be nothing `wrong`.
fn settle(path: &Path, text: &str, wrong: &str) {
    if std::env::var_os("MOD_TLS_WRITE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
    } else {
        assert!(
            wrong.is_empty(),
            "{} lacks this; write it there, or run MOD_TLS_WRITE_DOCS=1 cargo test -p mod-tls-directives\n{wrong}",
            path.display()
        );
    }
}
