// SPDX-License-Identifier: Apache-2.0
//! A table in a file in memory: one process writes it, and others only read it.
//!
//! The file has a header, an index, and the values. A reader takes no lock. It may read while the writer changes what it reads, so
//! each entry of the index has a checksum of its key and its value.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, fallocate, fstat, ftruncate};

use crate::base::memory_file;
use crate::crypto::digest;

/// The name of a value: a hash, of which all bits are equally good.
pub type Key = [u8; 16];

/// A hash of a key and a value.
fn checksum(key: &Key, value: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key);
    context.update(value);
    let mut checksum = [0; 32];
    checksum.copy_from_slice(context.finish().as_ref());
    checksum
}

/// The size of an entry of the index, and of the header.
const ENTRY: usize = 64;

/// How far from its first place an entry may be.
const REACH: usize = 32;

/// The smallest index.
const SMALLEST: u64 = 2048;

/// Room for values is given out in multiples of this.
const GRAIN: u64 = 256;

/// The longest value, and the most that a reader believes.
pub const MAX_VALUE: usize = 128 << 20;

/// How often a reader tries again what was being written.
const ATTEMPTS: usize = 8;

const MAGIC: &[u8; 8] = b"mod_tls1";

/// An entry of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    key: Key,
    at: u64,
    len: u32,
    state: u32,
    checksum: [u8; 32],
}

/// It was never used, so that a search ends here.
const UNUSED: u32 = 0;
const USED: u32 = 1;
/// It can be used again.
const REMOVED: u32 = 2;

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..16].copy_from_slice(&self.key);
        bytes[16..24].copy_from_slice(&self.at.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.len.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.state.to_le_bytes());
        bytes[32..].copy_from_slice(&self.checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY]) -> Self {
        Self {
            key: std::array::from_fn(|i| bytes[i]),
            at: u64::from_le_bytes(std::array::from_fn(|i| bytes[16 + i])),
            len: u32::from_le_bytes(std::array::from_fn(|i| bytes[24 + i])),
            state: u32::from_le_bytes(std::array::from_fn(|i| bytes[28 + i])),
            checksum: std::array::from_fn(|i| bytes[32 + i]),
        }
    }
}

/// The size of the index for so many values.
fn capacity_for(values: usize) -> u64 {
    (values as u64 * 2).next_power_of_two().clamp(SMALLEST, 1 << 24)
}

/// The first place of a key.
fn first_place(key: &Key, capacity: u64) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| key[i])) % capacity
}

fn place_in_file(index: u64) -> u64 {
    (1 + index) * ENTRY as u64
}

/// Where the values begin.
fn start_of_values(capacity: u64) -> u64 {
    place_in_file(capacity + REACH as u64).next_multiple_of(4096)
}

/// Whether the table has room for so many values.
pub fn has_room(file: BorrowedFd<'_>, values: usize) -> bool {
    capacity_of(file).is_ok_and(|capacity| capacity >= capacity_for(values))
}

fn capacity_of(file: BorrowedFd<'_>) -> io::Result<u64> {
    let mut header = [0; ENTRY];
    memory_file::read_at(file, &mut header, 0)?;
    let capacity = u64::from_le_bytes(std::array::from_fn(|i| header[8 + i]));
    match &header[..8] == MAGIC && capacity.is_power_of_two() && capacity <= 1 << 24 {
        true => Ok(capacity),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// An empty table for so many values: a descriptor for the writer, and one for readers.
pub fn create(name: &str, values: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (write, read) = memory_file::create(name)?;
    let capacity = capacity_for(values);
    let mut header = [0; ENTRY];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&capacity.to_le_bytes());
    memory_file::write_at(&write, &header, 0)?;
    // The index takes memory only where it is used.
    ftruncate(&write, start_of_values(capacity))?;
    Ok((write, read))
}

/// The entries where a key can be.
fn neighbours(file: BorrowedFd<'_>, first: u64) -> io::Result<[Entry; REACH]> {
    let mut bytes = [0; ENTRY * REACH];
    memory_file::read_at(file, &mut bytes, place_in_file(first))?;
    let (entries, _) = bytes.as_chunks::<ENTRY>();
    Ok(std::array::from_fn(|i| Entry::from_bytes(&entries[i])))
}

/// A table, for those who read it.
#[derive(Debug)]
pub struct Reader {
    file: OwnedFd,
    capacity: u64,
}

impl Reader {
    /// The table in `file`.
    pub fn new(file: OwnedFd) -> io::Result<Self> {
        let capacity = capacity_of(file.as_fd())?;
        Ok(Self { file, capacity })
    }

    /// The file.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The value of a key.
    pub fn get(&self, key: &Key) -> Option<Vec<u8>> {
        (0..ATTEMPTS).find_map(|_| self.try_to_get(key).transpose())?.ok()
    }

    /// `None` if the value is being written just now; an error if there is none.
    fn try_to_get(&self, key: &Key) -> io::Result<Option<Vec<u8>>> {
        let entry = self.entry(key)?;
        let mut value = vec![0; entry.len as usize];
        if memory_file::read_at(self.file.as_fd(), &mut value, entry.at).is_err() {
            return Ok(None);
        }
        Ok((checksum(key, &value) == entry.checksum).then_some(value))
    }

    /// A hash of the value of a key; none if there is no value. What is not there is found out at little cost, and so is what has
    /// not changed.
    pub fn version(&self, key: &Key) -> Option<[u8; 32]> {
        self.entry(key).ok().map(|entry| entry.checksum)
    }

    fn entry(&self, key: &Key) -> io::Result<Entry> {
        let near = neighbours(self.file.as_fd(), first_place(key, self.capacity))?;
        let mut known = near.into_iter().take_while(|entry| entry.state != UNUSED);
        let entry = known.find(|entry| entry.state == USED && entry.key == *key);
        let entry = entry.filter(|entry| entry.len as usize <= MAX_VALUE);
        entry.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A table, for the process that writes it.
#[derive(Debug)]
pub struct Writer {
    file: OwnedFd,
    capacity: u64,
    /// Where the values are, by their keys: the place in the index, and the entry.
    known: HashMap<Key, (u64, Entry)>,
    /// Rooms that can be used again, by their sizes.
    free: HashMap<u64, Vec<u64>>,
    /// Where further values are written.
    end: u64,
}

impl Writer {
    /// The table in `file`, in which another process may have written before.
    pub fn new(file: OwnedFd) -> io::Result<Self> {
        let capacity = capacity_of(file.as_fd())?;
        let end = fstat(&file)?.st_size.cast_unsigned().next_multiple_of(4096);
        let mut bytes = vec![0; (capacity as usize + REACH) * ENTRY];
        memory_file::read_at(file.as_fd(), &mut bytes, place_in_file(0))?;
        let (entries, _) = bytes.as_chunks::<ENTRY>();
        let entries = entries.iter().map(Entry::from_bytes).enumerate();
        let known = entries.filter(|(_, entry)| entry.state == USED);
        Ok(Self {
            capacity,
            known: known.map(|(index, entry)| (entry.key, (index as u64, entry))).collect(),
            free: HashMap::new(),
            end,
            file,
        })
    }

    /// The keys that have values.
    pub fn keys(&self) -> Vec<Key> {
        self.known.keys().copied().collect()
    }

    /// Sets the value of a key. An error if the table is full, or there is no memory.
    pub fn put(&mut self, key: &Key, value: &[u8]) -> io::Result<()> {
        if value.len() > MAX_VALUE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let checksum = checksum(key, value);
        let old = self.known.get(key).copied();
        if old.is_some_and(|(_, entry)| entry.checksum == checksum) {
            return Ok(());
        }
        let index = match old {
            Some((index, _)) => index,
            None => self.place_for(key)?,
        };
        let at = self.room(value.len());
        let entry = Entry {
            key: *key,
            at,
            len: value.len() as u32,
            state: USED,
            checksum,
        };
        memory_file::write_at(&self.file, value, at)?;
        memory_file::write_at(&self.file, &entry.to_bytes(), place_in_file(index))?;
        self.known.insert(*key, (index, entry));
        if let Some((_, old)) = old {
            self.give_back(&old);
        }
        Ok(())
    }

    /// Removes the value of a key.
    pub fn remove(&mut self, key: &Key) -> io::Result<()> {
        let Some((index, mut entry)) = self.known.remove(key) else {
            return Ok(());
        };
        entry.state = REMOVED;
        memory_file::write_at(&self.file, &entry.to_bytes(), place_in_file(index))?;
        self.give_back(&entry);
        Ok(())
    }

    fn place_for(&self, key: &Key) -> io::Result<u64> {
        let first = first_place(key, self.capacity);
        let near = neighbours(self.file.as_fd(), first)?;
        let free = near.iter().position(|entry| entry.state != USED);
        let free = free.ok_or_else(|| io::Error::other("the table is full"))?;
        Ok(first + free as u64)
    }

    fn room(&mut self, len: usize) -> u64 {
        let size = size_of_room(len);
        if let Some(at) = self.free.get_mut(&size).and_then(Vec::pop) {
            return at;
        }
        let at = self.end;
        self.end += size;
        at
    }

    /// A reader that still reads there notices it by the checksum.
    fn give_back(&mut self, entry: &Entry) {
        const PAGE: u64 = 4096;
        let size = size_of_room(entry.len as usize);
        let (start, end) = (entry.at.next_multiple_of(PAGE), (entry.at + size) / PAGE * PAGE);
        if start < end {
            // If that is not possible, it costs memory.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&self.file, flags, start, end - start);
        }
        self.free.entry(size).or_default().push(entry.at);
    }
}

fn size_of_room(len: usize) -> u64 {
    (len as u64).max(1).next_multiple_of(GRAIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(values: usize) -> (Writer, Reader) {
        let (write, read) = create("test", values).unwrap();
        (Writer::new(write).unwrap(), Reader::new(read).unwrap())
    }

    fn key(number: u64) -> Key {
        checksum(&[0; 16], &number.to_le_bytes())[..16].try_into().unwrap()
    }

    #[test]
    fn values_are_found_until_they_are_removed() {
        let (mut writer, reader) = table(1000);
        assert_eq!(reader.get(&key(1)), None);
        for number in 0..1000 {
            let value = number.to_string().repeat(number as usize);
            writer.put(&key(number), value.as_bytes()).unwrap();
        }
        for number in 0..1000 {
            let value = number.to_string().repeat(number as usize);
            assert_eq!(reader.get(&key(number)), Some(value.into_bytes()));
        }
        let before = reader.version(&key(7));
        writer.put(&key(7), b"another").unwrap();
        assert_ne!(reader.version(&key(7)), before);
        assert_eq!(reader.get(&key(7)).unwrap(), b"another");
        writer.remove(&key(7)).unwrap();
        assert_eq!(reader.get(&key(7)), None);
        assert_eq!(reader.get(&key(8)).unwrap(), b"88888888");
    }

    #[test]
    fn memory_is_used_again() {
        let (mut writer, reader) = table(10);
        writer.put(&key(1), &[1; 3000]).unwrap();
        writer.put(&key(1), &[2; 3000]).unwrap();
        let end = writer.end;
        for round in 0..100 {
            writer.put(&key(1), &[round; 3000]).unwrap();
            assert_eq!(reader.get(&key(1)).unwrap(), [round; 3000]);
        }
        assert_eq!(writer.end, end);
    }

    #[test]
    fn another_writer_goes_on() {
        let (mut writer, reader) = table(10);
        writer.put(&key(1), b"one").unwrap();
        let mut next = Writer::new(writer.file.try_clone().unwrap()).unwrap();
        assert_eq!(next.keys(), [key(1)]);
        next.put(&key(2), b"two").unwrap();
        assert_eq!(reader.get(&key(1)).unwrap(), b"one");
        assert_eq!(reader.get(&key(2)).unwrap(), b"two");
    }

    #[test]
    fn a_full_table_says_so() {
        let (mut writer, reader) = table(1);
        let same_place = |number: u64| {
            let mut key = [0; 16];
            key[8..].copy_from_slice(&number.to_le_bytes());
            key
        };
        for number in 0..REACH as u64 {
            writer.put(&same_place(number), &[7]).unwrap();
        }
        assert!(writer.put(&same_place(99), &[7]).is_err());
        writer.remove(&same_place(3)).unwrap();
        writer.put(&same_place(99), &[8]).unwrap();
        assert_eq!(reader.get(&same_place(99)).unwrap(), [8]);
        assert_eq!(reader.get(&same_place(REACH as u64 - 1)).unwrap(), [7]);
    }

    #[test]
    fn readers_cannot_write_and_see_no_half_values() {
        let (mut writer, reader) = table(10);
        assert!(memory_file::write_at(&reader.file, &[0], 0).is_err());
        writer.put(&key(1), &[1; 2000]).unwrap();
        let end = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..20_000_u32 {
                    let value = vec![round as u8; 1000 + round as usize % 1000];
                    writer.put(&key(1), &value).unwrap();
                }
                end.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            while !end.load(std::sync::atomic::Ordering::Relaxed) {
                if let Some(value) = reader.get(&key(1)) {
                    assert!(value.iter().all(|byte| *byte == value[0]));
                }
            }
        });
    }

    proptest! {
        #[test]
        fn anything_may_be_in_the_file(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_u64..4000) {
            let (writer, reader) = table(1);
            memory_file::write_at(&writer.file, &bytes, at).unwrap();
            let _ = reader.get(&key(1));
            if let Ok(mut writer) = Writer::new(writer.file) {
                let _ = writer.put(&key(1), b"value");
            }
        }
    }
}
