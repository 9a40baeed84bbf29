// SPDX-License-Identifier: Apache-2.0
//! Files in memory that one process writes and others read.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, fchmod, fstat, memfd_create, open};
use rustix::io::{pread, pwrite};

/// An empty file: one descriptor to write it, and one to give away.
pub fn create(name: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let write = memfd_create(name, MemfdFlags::CLOEXEC)?;
    // A process of another user cannot open it for writing by way of its descriptor.
    fchmod(&write, Mode::RUSR | Mode::WUSR)?;
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    let read = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((write, read))
}

/// Writes all of `data` at this place.
pub fn write_at(file: &OwnedFd, data: &[u8], start: u64) -> io::Result<()> {
    let mut written = 0;
    while written < data.len() {
        written += pwrite(file, &data[written..], start + written as u64)?;
    }
    Ok(())
}

/// All that is in the file, unless it is longer than `max`. The position in the file, which others may share, is not used.
pub fn read_all(file: BorrowedFd<'_>, max: u64) -> io::Result<Vec<u8>> {
    let size = fstat(file)?.st_size.cast_unsigned();
    if size > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut data = vec![0; size as usize];
    read_at(file, &mut data, 0)?;
    Ok(data)
}

/// Fills `data` with what is at this place.
pub fn read_at(file: BorrowedFd<'_>, data: &mut [u8], start: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < data.len() {
        match pread(file, &mut data[filled..], start + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(())
}
