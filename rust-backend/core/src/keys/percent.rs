// SPDX-License-Identifier: Apache-2.0
//! Percent-encoding (RFC 3986 section 2.1) with the sets of characters of PKCS#11 URIs.

use zeroize::Zeroizing;

/// Whether `byte` stands for itself in every URI: RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether `byte` may stand for itself in an attribute before the `?`: RFC 7512 section 2.3, `pk11-pchar`.
pub(super) fn is_of_path(byte: u8) -> bool {
    is_unreserved(byte) || b":[]@!$'()*+,=&".contains(&byte)
}

/// Whether `byte` may stand for itself in an attribute behind the `?`: RFC 7512 section 2.3, `pk11-qchar`.
pub(super) fn is_of_query(byte: u8) -> bool {
    is_unreserved(byte) || b":[]@!$'()*+,=/?|".contains(&byte)
}

/// Decodes `text`, whose characters have to be ones that `is_allowed`. The result may be a PIN: the bytes are never
/// moved to a larger buffer, which would leave a copy behind.
pub(super) fn decode(text: &str, is_allowed: fn(u8) -> bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match u8::try_from(character) {
            Ok(b'%') => {
                let digit = |character: Option<char>| character.and_then(|character| character.to_digit(16));
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err("two hexadecimal digits have to follow a %: write %25 for % itself".to_owned());
                };
                bytes.push((high * 16 + low) as u8);
            }
            Ok(byte) if is_allowed(byte) => bytes.push(byte),
            _ => {
                let mut buffer = [0; 4];
                let encoded = encode(character.encode_utf8(&mut buffer).as_bytes(), |_| false);
                return Err(format!("\"{}\" is written {encoded} there", character.escape_debug()));
            }
        }
    }
    Ok(bytes)
}

/// Decodes UTF-8.
pub(super) fn decode_text(text: &str, is_allowed: fn(u8) -> bool) -> Result<String, String> {
    String::from_utf8(decode(text, is_allowed)?.to_vec()).map_err(|_| format!("\"{text}\" is not UTF-8"))
}

/// Encodes all bytes except those that are `plain`.
pub(super) fn encode(bytes: &[u8], is_plain: fn(u8) -> bool) -> String {
    let encode = |&byte: &u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}
