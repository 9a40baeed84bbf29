// SPDX-License-Identifier: Apache-2.0
//! Internationalized host names in the form that clients send (RFC 5890, RFC 3492).
//!
//! The result is used only in messages. It does not implement all rules of IDNA.

/// The parameters of RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 0x80;

/// The name that clients send for `host`. None if it has characters that need rules which are not implemented here.
pub(crate) fn to_ascii(host: &str) -> Option<String> {
    let labels: Option<Vec<String>> = host.split('.').map(label_to_ascii).collect();
    Some(labels?.join("."))
}

fn label_to_ascii(label: &str) -> Option<String> {
    if label.is_ascii() {
        return Some(label.to_ascii_lowercase());
    }
    let letters: Vec<char> = label.chars().flat_map(char::to_lowercase).collect();
    // Combining marks would have to be composed first.
    let is_simple = letters.iter().all(|c| c.is_alphanumeric() || *c == '-');
    is_simple.then(|| encode(&letters)).flatten()
}

/// RFC 3492 section 6.3.
fn encode(letters: &[char]) -> Option<String> {
    let basic: String = letters.iter().filter(|c| c.is_ascii()).collect();
    let mut output = format!("xn--{basic}");
    if !basic.is_empty() {
        output.push('-');
    }
    let first = basic.len() as u32;
    let (mut n, mut delta, mut bias, mut done) = (INITIAL_N, 0_u32, INITIAL_BIAS, first);
    while (done as usize) < letters.len() {
        let next = letters.iter().map(|c| *c as u32).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(done + 1)?)?;
        n = next;
        for letter in letters.iter().map(|c| *c as u32) {
            if letter < n {
                delta = delta.checked_add(1)?;
            }
            if letter == n {
                push_number(&mut output, delta, bias);
                bias = adapt(delta, done + 1, done == first);
                delta = 0;
                done += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(output)
}

/// Writes a number as a generalized variable-length integer: RFC 3492 section 3.3.
fn push_number(output: &mut String, mut number: u32, bias: u32) {
    let mut position = BASE;
    loop {
        let threshold = position.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if number < threshold {
            output.push(digit(number));
            return;
        }
        let above = number - threshold;
        output.push(digit(threshold + above % (BASE - threshold)));
        number = above / (BASE - threshold);
        position += BASE;
    }
}

fn digit(value: u32) -> char {
    char::from_digit(if value < 26 { value + 10 } else { value - 26 }, BASE).unwrap_or('a')
}

/// RFC 3492 section 3.4.
fn adapt(delta: u32, count: u32, is_first: bool) -> u32 {
    let mut delta = delta / if is_first { DAMP } else { 2 };
    delta += delta / count;
    let mut position = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        position += BASE;
    }
    position + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, ascii) in [
            ("www.Example.org", "www.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
            ("faß.de", "xn--fa-hia.de"),
            ("*.пример.рф", "*.xn--e1afmkfd.xn--p1ai"),
            // RFC 3492 section 7.1, samples (B), (L), (R).
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"),
            ("そのスピードで", "xn--d9juau41awczczp"),
        ] {
            assert_eq!(to_ascii(name).as_deref(), Some(ascii), "{name}");
        }
        for name in ["u\u{308}mlaut.test", "\u{fffd}mlaut.test", "smile\u{1f600}.test"] {
            assert_eq!(to_ascii(name), None, "{name}");
        }
    }
}
