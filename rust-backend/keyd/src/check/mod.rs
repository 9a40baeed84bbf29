// SPDX-License-Identifier: Apache-2.0
//! `tls-keyd --check`: shows an administrator what this kernel, this container and this user let tls-keyd give up.

mod attempts;
mod facts;
mod options;

use std::process::ExitCode;

pub(crate) use options::options;

use crate::lockdown::{self, Needs, Step};
use facts::Status;

/// Gives up what `needs` does not name and prints tables: the steps, what the kernel says of the process, and attempts to
/// do what must no longer work.
pub(crate) fn run(needs: &Needs) -> ExitCode {
    // What is open stays readable.
    let status = Status::open();
    let steps = lockdown::steps(needs);
    print_steps(&steps);
    println!("\nthe kernel says");
    for (what, value) in facts::facts(status) {
        row(what, &value);
    }
    println!("\nattempts");
    let mut all_well = steps.iter().all(|step| step.missing.is_none());
    for (what, should, attempt) in attempts::all(needs, &steps) {
        let outcome = attempt();
        row(what, &outcome.to_string());
        all_well &= outcome.is_as_it_should_be(should);
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_steps(steps: &[Step]) {
    println!("given up");
    for step in steps {
        row(step.what, if step.missing.is_none() { "yes" } else { "NO" });
    }
    for text in steps.iter().filter_map(|step| step.missing.as_deref()) {
        println!("\n{text}");
    }
}

fn row(what: &str, value: &str) {
    println!("  {what:<36} {value}");
}
