// SPDX-License-Identifier: Apache-2.0
//! Child processes that behave, and others that somebody has taken over.

use std::path::Path;
use std::time::{Duration, Instant};

use mod_tls_core::crypto;
use mod_tls_core::key_process::protocol::{KeyId, Purpose, Refusal, VERSION};
use rcgen::{CertificateParams, KeyPair};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustls::SignatureScheme;
use rustls_pki_types::PrivateKeyDer;

use super::*;

const SERVER: KeyId = 1;
const CLIENT: KeyId = 2;
const SCHEME: u16 = 0x0403; // ecdsa_secp256r1_sha256

/// Signing with a key for each purpose, and the public one.
fn signing() -> Arc<Signing> {
    let keys = Keys::new(&Arc::default());
    for (id, purpose) in [(SERVER, Purpose::Server), (CLIENT, Purpose::Client)] {
        let pair = KeyPair::generate().unwrap();
        let der = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        keys.add(
            id,
            &Path::new("a.key").into(),
            purpose,
            crypto::signing_key(&der).unwrap(),
        );
    }
    let signing = Signing::new(Arc::new(keys)).unwrap();
    signing.start().unwrap();
    signing
}

/// A thread of a child process.
struct Child(UnixStream);

impl Child {
    fn of(signing: &Signing) -> Self {
        let (one, other) = UnixStream::pair().unwrap();
        signing.add(other.into()).unwrap();
        Self::over(one)
    }

    fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads a reply, and calls `check` with it.
    fn reply<T>(&mut self, check: impl FnOnce(Reply<'_>) -> T) -> T {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).unwrap();
        let mut frame = head.to_vec();
        frame.resize(4 + u32::from_le_bytes(head) as usize, 0);
        self.0.read_exact(&mut frame[4..]).unwrap();
        check(protocol::decode(&frame).unwrap())
    }

    fn asks<T>(&mut self, request: &Request<'_>, check: impl FnOnce(Reply<'_>) -> T) -> T {
        self.send(&frame(request));
        self.reply(check)
    }

    /// What becomes of a request to sign `message`.
    fn sign(&mut self, key: KeyId, scheme: u16, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.asks(&Request::Sign { key, scheme, message }, |reply| match reply {
            Reply::Signature(signature) => Ok(signature.to_vec()),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        })
    }

    /// Whether the connection is closed, with nothing that was sent before.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 1]) {
            Ok(len) => len == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

fn frame(request: &Request<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    protocol::encode(request, &mut frame);
    frame
}

fn verify(side: &str) -> Vec<u8> {
    [
        &[0x20; 64][..],
        format!("TLS 1.3, {side} CertificateVerify\0").as_bytes(),
        &[7; 32],
    ]
    .concat()
}

#[test]
fn handshakes_are_signed() {
    let signing = signing();
    let mut child = Child::of(&signing);
    assert!(child.sign(SERVER, SCHEME, &verify("server")).is_ok());
    assert!(child.sign(CLIENT, SCHEME, &verify("client")).is_ok());
    let report = child.asks(&Request::Report, |reply| match reply {
        Reply::Report(report) => report,
        other => panic!("{other:?}"),
    });
    assert_eq!((report.keys, report.signatures, report.connections), (2, 2, 1));
}

#[test]
fn nothing_else_is_signed() {
    let signing = signing();
    let mut child = Child::of(&signing);
    // A certificate that would make its owner a CA, as far as it is signed.
    let issuer = CertificateParams::new(["evil.test".to_owned()]).unwrap();
    let whole = issuer.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let certificate = &whole.der()[4..];
    for message in [certificate, b"", b"a token", &verify("server")[1..], &verify("client")] {
        assert_eq!(child.sign(SERVER, SCHEME, message), Err(Refusal::NotAHandshake));
    }
    assert_eq!(
        child.sign(CLIENT, SCHEME, &verify("server")),
        Err(Refusal::NotAHandshake)
    );
    assert_eq!(child.sign(3, SCHEME, &verify("server")), Err(Refusal::UnknownKey));
    let other = u16::from(SignatureScheme::RSA_PSS_SHA256);
    assert_eq!(child.sign(SERVER, other, &verify("server")), Err(Refusal::Scheme));
    // It goes on.
    assert!(child.sign(SERVER, SCHEME, &verify("server")).is_ok());
}

#[test]
fn bad_frames_end_the_connection_and_no_other() {
    let signing = signing();
    let mut good = Child::of(&signing);
    let ping = frame(&Request::Ping);
    let mut version = ping.clone();
    version[4] = VERSION + 1;
    let mut rest = ping.clone();
    rest[0] += 1;
    rest.push(0);
    for bad in [
        version,
        rest,
        vec![0; 4],
        vec![0xff; 4],
        [&(MAX_FRAME as u32 + 1).to_le_bytes()[..], &[VERSION]].concat(),
        // No request has this number.
        vec![2, 0, 0, 0, VERSION, 99],
        // The message is longer than the frame.
        vec![6, 0, 0, 0, VERSION, 0, 1, 3, 200, 1],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut child = Child::of(&signing);
        child.send(&bad);
        assert!(child.is_closed(), "{bad:?}");
        assert!(good.sign(SERVER, SCHEME, &verify("server")).is_ok());
    }
    wait_for(|| signing.connections() == 1);
}

#[test]
fn requests_come_in_pieces_and_together() {
    let signing = signing();
    let mut child = Child::of(&signing);
    let message = verify("server");
    let request = frame(&Request::Sign {
        key: SERVER,
        scheme: SCHEME,
        message: &message,
    });
    for byte in &request {
        child.send(&[*byte]);
    }
    child.reply(|reply| assert!(matches!(reply, Reply::Signature(_))));
    child.send(&request.repeat(40));
    for _ in 0..40 {
        child.reply(|reply| assert!(matches!(reply, Reply::Signature(_))));
    }
    // The longest one.
    let long = vec![1; MAX_FRAME - 20];
    assert_eq!(child.sign(SERVER, SCHEME, &long), Err(Refusal::NotAHandshake));
}

/// A child process that reads no answers gets no more, and holds up nobody.
#[test]
fn answers_that_nobody_reads() {
    let signing = signing();
    let mut good = Child::of(&signing);
    let greedy = Child::of(&signing);
    greedy.0.set_nonblocking(true).unwrap();
    let pings = frame(&Request::Ping).repeat(1000);
    let outcome = loop {
        if let Err(error) = (&greedy.0).write(&pings) {
            match error.kind() {
                io::ErrorKind::WouldBlock => thread::yield_now(),
                kind => break kind,
            }
        }
    };
    assert!(matches!(
        outcome,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    ));
    assert!(good.sign(SERVER, SCHEME, &verify("server")).is_ok());
}

#[test]
fn the_door() {
    let signing = signing();
    let (entrance, exit) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    signing.receive_from(exit).unwrap();
    let enter = |version: &[u8]| {
        let (one, other) = UnixStream::pair().unwrap();
        channel::send_with(entrance.as_fd(), version, &[other.as_fd()], SendFlags::empty()).unwrap();
        Child::over(one)
    };
    assert!(enter(&[VERSION]).sign(SERVER, SCHEME, &verify("server")).is_ok());
    assert!(enter(&[VERSION + 1]).is_closed());
    // Something that is no socket, and nothing.
    let file = std::fs::File::open("/dev/null").unwrap();
    channel::send_with(entrance.as_fd(), &[VERSION], &[file.as_fd()], SendFlags::empty()).unwrap();
    channel::send_with(entrance.as_fd(), &[VERSION], &[], SendFlags::empty()).unwrap();
    assert!(enter(&[VERSION]).sign(SERVER, SCHEME, &verify("server")).is_ok());
    let (_, text) = signing.keys.log_queue().take().unwrap();
    assert!(text.contains("raise the limit of open files"), "{text}");
}

#[test]
fn one_that_was_replaced_serves_children_but_not_its_watcher() {
    let signing = signing();
    let (mut child, mut watcher) = (Child::of(&signing), Child::of(&signing));
    let pong = |reply: Reply<'_>| assert!(matches!(reply, Reply::Pong { .. }));
    watcher.asks(&Request::Ping, pong);
    signing.retire();
    watcher.send(&frame(&Request::Ping));
    assert!(watcher.is_closed());
    assert!(child.sign(SERVER, SCHEME, &verify("server")).is_ok());
    drop(child);
    wait_for(|| signing.connections() == 0);
}

fn wait_for(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end);
        thread::yield_now();
    }
}
