// SPDX-License-Identifier: Apache-2.0
//! What mod_status shows of the module.

use std::fmt::Write;

use crate::key_process::parent::KeyProcess;
use crate::key_process::protocol::Report;
use crate::process::Process;

impl Process {
    /// The counters, and how private keys were used: HTML, or (`brief`) lines for programs.
    pub fn status(&self, brief: bool) -> String {
        let mut lines: Vec<(String, u64)> = self
            .counters
            .totals()
            .map(|(label, total)| (label.to_owned(), total))
            .collect();
        let door = self.key_process.get().and_then(KeyProcess::door);
        let report = door.map(|door| door.report());
        if let Some(Ok(report)) = &report {
            lines.extend([
                ("KeyProcessKeys".to_owned(), report.keys),
                ("KeyProcessSignatures".to_owned(), report.signatures),
                ("KeyProcessRefused".to_owned(), report.refused),
                ("KeyProcessConnections".to_owned(), report.connections),
            ]);
        }
        if brief {
            return lines
                .iter()
                .map(|(label, total)| format!("TLS{label}: {total}\n"))
                .collect();
        }
        let list: String = lines
            .iter()
            .map(|(label, total)| format!("<dt>{label}: {total}</dt>\n"))
            .collect();
        let keys = match &report {
            None => String::new(),
            Some(Err(why)) => format!("<p>{}</p>\n", escaped(&why.to_string())),
            Some(Ok(report)) => table(report),
        };
        format!("<hr />\n<h1>TLS</h1>\n<dl>\n{list}</dl>\n{keys}")
    }
}

/// The keys that were used most.
fn table(report: &Report) -> String {
    if report.most_used.is_empty() {
        return String::new();
    }
    let mut table =
        "<table border=\"0\"><tr><th>Private key</th><th>Signatures</th><th>Last minute</th></tr>\n".to_owned();
    for key in &report.most_used {
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&key.name),
            key.signatures,
            key.last_minute
        );
    }
    table + "</table>\n"
}

/// `text` as content of an HTML element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_process::protocol::KeyUse;

    #[test]
    fn names_are_text() {
        let report = Report {
            most_used: vec![KeyUse {
                name: "/a&b<c>".to_owned(),
                signatures: 3,
                last_minute: 2,
            }],
            ..Report::default()
        };
        let table = table(&report);
        assert!(
            table.contains("<td>/a&amp;b&lt;c&gt;</td><td>3</td><td>2</td>"),
            "{table}"
        );
        assert_eq!(super::table(&Report::default()), "");
    }

    #[test]
    fn without_a_key_process_there_are_the_counters() {
        let text = Process::default().status(true);
        assert!(
            text.starts_with("TLSFullHandshakes: 0\n") && !text.contains("Key"),
            "{text}"
        );
        assert!(Process::default().status(false).starts_with("<hr />\n<h1>TLS</h1>"));
    }
}
