// SPDX-License-Identifier: Apache-2.0
//! Values that are shared until one of their owners changes them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A value that is copied on modification if it is shared.
#[derive(Clone, Debug, Default)]
pub struct CopyOnWrite<T>(Arc<T>);

impl<T> CopyOnWrite<T> {
    /// Whether `other` is the same object, not only an equal one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// An identifier that is unique among values that are not [the same](CopyOnWrite::is), as long as they exist.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl<T> From<T> for CopyOnWrite<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for CopyOnWrite<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for CopyOnWrite<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_nobody_else() {
        let one = CopyOnWrite::from(vec![1]);
        let mut two = one.clone();
        assert!(two.is(&one));
        two.push(2);
        assert!(!two.is(&one));
        assert_eq!((one.len(), two.len()), (1, 2));
    }
}
