// SPDX-License-Identifier: Apache-2.0
//! How child processes learn of files that were read again: the parent process appends what is in them to a file in memory, which
//! child processes inherit and can only read. There is nothing secret in it in plain text: private keys are named by their numbers in `tls-keyd`, and
//! ticket keys are encrypted with others that child processes have inherited.
//!
//! A counter in shared memory tells how long the file is, so that a child process needs no system call to see that there is
//! nothing new.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};

use rustix::fs::{FallocateFlags, fallocate, fstat};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::protocol::{self, KeyId, MAX_CONTROL_FRAME};
use crate::base::lock::lock;
use crate::base::memory_file;

/// What was read again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its [number](crate::base::slots).
    pub slot: u32,
    /// What replaces what was there before.
    pub content: Content,
}

/// The content of files.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Certificates whose keys are in `tls-keyd`.
    Identities(Vec<RemoteCertificate>),
    /// Certificates of CAs in DER, each with the path of its file.
    Authorities(Vec<(ByteBuf, ByteBuf)>),
    /// The state of ticket keys, encrypted with the keys of the server that no file has, and the period of those.
    TicketState(u64, ByteBuf),
}

/// A certificate whose key is in `tls-keyd`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteCertificate {
    /// The path of its file.
    #[serde(with = "serde_bytes")]
    pub source: Vec<u8>,
    /// The certificate in DER.
    #[serde(with = "serde_bytes")]
    pub leaf: Vec<u8>,
    /// The intermediate certificates in DER.
    pub issuers: Vec<ByteBuf>,
    /// The number of its key.
    pub key: KeyId,
    /// The numbers of the key's signature schemes.
    pub schemes: Vec<u16>,
}

/// The file. It belongs to the parent process and the child processes that inherit it.
#[derive(Debug)]
pub struct Journal {
    /// Only in the parent process.
    write: Mutex<Option<OwnedFd>>,
    read: OwnedFd,
    /// The length of the file, in memory that all processes share.
    len: &'static AtomicU64,
    /// How much this process has seen.
    seen: AtomicU64,
    /// Whether a thread of this process reads it just now.
    is_read: AtomicBool,
    /// What was there at the last reload. Child processes of earlier configurations have seen it, or have ended.
    mark: AtomicU64,
}

impl Journal {
    /// An empty one. `len` is in shared memory.
    pub fn new(len: &'static AtomicU64) -> io::Result<Self> {
        let (write, read) = memory_file::create("mod_tls: files that were read again")?;
        Ok(Self {
            write: Mutex::new(Some(write)),
            read,
            len,
            seen: AtomicU64::new(0),
            is_read: AtomicBool::new(false),
            mark: AtomicU64::new(0),
        })
    }

    /// From now on, this process only reads.
    pub fn in_child(&self) {
        lock(&self.write).take();
    }

    /// Appends a change, which this process has made use of already. The error says what to do.
    pub fn append(&self, change: &Change) -> Result<(), String> {
        self.try_to_append(change)
            .map_err(|error| format!("httpd's processes cannot be told of it: {error}; reload httpd"))
    }

    fn try_to_append(&self, change: &Change) -> io::Result<()> {
        let write = lock(&self.write);
        let file = write.as_ref().ok_or(io::ErrorKind::PermissionDenied)?;
        let mut frame = Vec::new();
        protocol::encode(change, &mut frame);
        let start = self.seen.load(Relaxed);
        memory_file::write_at(file, &frame, start)?;
        let end = start + frame.len() as u64;
        self.seen.store(end, Relaxed);
        self.len.store(end, Release);
        Ok(())
    }

    /// Gives back the memory of what was appended before the last call: at a reload, child processes are replaced.
    pub fn forget(&self) {
        let old = self.mark.swap(self.seen.load(Relaxed), Relaxed);
        if let Some(file) = &*lock(&self.write)
            && old > 0
        {
            // If that is not possible, it costs memory.
            let _ = fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, old);
        }
    }

    /// Calls `each` with all changes that this process has not seen. One thread does that; others go on meanwhile.
    pub fn catch_up(&self, mut each: impl FnMut(Change)) {
        if self.len.load(Acquire) == self.seen.load(Relaxed) || self.is_read.swap(true, Acquire) {
            return;
        }
        if let Ok(data) = self.unseen() {
            let mut rest = data.as_slice();
            while let Ok(Some(len)) = protocol::frame_len(rest, MAX_CONTROL_FRAME)
                && len <= rest.len()
            {
                if let Ok(change) = protocol::decode(&rest[..len]) {
                    each(change);
                }
                rest = &rest[len..];
            }
            // What was given back is skipped.
            self.seen.fetch_add(data.len() as u64, Relaxed);
        }
        self.is_read.store(false, Release);
    }

    /// What this process has not seen.
    fn unseen(&self) -> io::Result<Vec<u8>> {
        let start = self.seen.load(Relaxed);
        // Any child process could have changed the counter, but not the file.
        let end = self.len.load(Acquire).min(fstat(&self.read)?.st_size.cast_unsigned());
        let mut data = vec![0; end.saturating_sub(start) as usize];
        memory_file::read_at(self.read.as_fd(), &mut data, start)?;
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewal(slot: u32) -> Change {
        let certificate = RemoteCertificate {
            source: b"a.pem".to_vec(),
            leaf: vec![1; 1000],
            issuers: vec![ByteBuf::from(vec![2; 10])],
            key: 7,
            schemes: vec![0x0403],
        };
        Change {
            slot,
            content: Content::Identities(vec![certificate]),
        }
    }

    /// A journal, and what a child process has that was forked just now.
    fn journal() -> (Journal, Journal) {
        let len: &'static AtomicU64 = Box::leak(Box::default());
        let parent = Journal::new(len).unwrap();
        let child = Journal {
            write: Mutex::default(),
            read: parent.read.try_clone().unwrap(),
            len,
            seen: AtomicU64::new(0),
            is_read: AtomicBool::new(false),
            mark: AtomicU64::new(0),
        };
        (parent, child)
    }

    fn seen(journal: &Journal) -> Vec<u32> {
        let mut slots = Vec::new();
        journal.catch_up(|change| slots.push(change.slot));
        slots
    }

    #[test]
    fn child_processes_see_each_renewal_once() {
        let (parent, child) = journal();
        assert!(seen(&child).is_empty());
        parent.append(&renewal(1)).unwrap();
        parent.append(&renewal(2)).unwrap();
        assert!(seen(&parent).is_empty());
        assert_eq!(seen(&child), [1, 2]);
        assert!(seen(&child).is_empty());
        parent.append(&renewal(3)).unwrap();
        assert_eq!(seen(&child), [3]);
    }

    #[test]
    fn child_processes_cannot_write() {
        let (parent, child) = journal();
        parent.in_child();
        assert!(parent.append(&renewal(1)).is_err());
        assert!(child.append(&renewal(1)).is_err());
        assert!(memory_file::write_at(&child.read, &[0], 0).is_err());
    }

    #[test]
    fn what_was_given_back_is_skipped() {
        let (parent, child) = journal();
        parent.append(&renewal(1)).unwrap();
        parent.forget();
        parent.forget();
        parent.append(&renewal(2)).unwrap();
        assert!(!seen(&child).contains(&1));
        parent.append(&renewal(3)).unwrap();
        assert_eq!(seen(&child), [3]);
    }

    /// Another process may have changed the counter.
    #[test]
    fn a_wrong_length_does_no_harm() {
        let (parent, child) = journal();
        parent.append(&renewal(1)).unwrap();
        assert_eq!(seen(&child), [1]);
        for wrong in [u64::MAX, 1] {
            child.len.store(wrong, Relaxed);
            assert!(seen(&child).is_empty());
        }
        parent.append(&renewal(2)).unwrap();
        assert_eq!(seen(&child), [2]);
    }
}
