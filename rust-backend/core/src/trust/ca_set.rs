// SPDX-License-Identifier: Apache-2.0
//! The CAs of a directive, which are replaced when their files change.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};

use rustls_pki_types::CertificateDer;

use super::anchors::{Anchors, Report};
use crate::base::place::Place;
use crate::base::watched::Watched;

/// The CAs in some files and directories.
#[derive(Debug)]
pub struct CaSet {
    directive: &'static str,
    watched: Watched,
    /// Whether the platform's trust store belongs to it.
    has_system: bool,
    /// Whether clients are told their names.
    is_told: AtomicBool,
    anchors: RwLock<Arc<Anchors>>,
}

impl CaSet {
    /// Reads the CAs in `places`, which `directive` names, and those of the platform's trust store if `has_system` is set.
    pub fn load(directive: &'static str, places: &[Place], has_system: bool, report: &mut Report) -> Self {
        let watched = Watched::new(places.to_vec());
        let anchors = Anchors::load_with_system(places.iter().cloned(), has_system, report);
        Self {
            directive,
            watched,
            has_system,
            is_told: AtomicBool::new(false),
            anchors: RwLock::new(Arc::new(anchors)),
        }
    }

    /// CAs that come from no file.
    pub fn fixed(anchors: Anchors) -> Self {
        let set = Self::load("", &[], false, &mut Report::default());
        set.replace(anchors);
        set
    }

    /// The directive and the files that it names, for messages.
    pub fn name(&self) -> String {
        let (first, others) = match self.watched.places() {
            [first, others @ ..] => (first.path.as_path(), others.len()),
            [] => (Path::new("the platform's trust store"), 0),
        };
        match others {
            0 => format!("{} {}", self.directive, first.display()),
            others => format!("{} {} and {others} more", self.directive, first.display()),
        }
    }

    /// The files.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// The CAs that are used now.
    pub fn current(&self) -> Arc<Anchors> {
        Arc::clone(&self.anchors.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses these from now on.
    pub fn replace(&self, anchors: Anchors) {
        *self.anchors.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(anchors);
    }

    /// The CAs that `certificates` are, each given with its file. They were checked by another process.
    pub fn told(&self, certificates: Vec<(PathBuf, CertificateDer<'static>)>) {
        self.replace(Anchors::new(certificates, &mut Report::default()));
    }

    /// From now on, clients are told their names. The error is why these do not fit in a handshake.
    pub fn tell_names(&self) -> Result<(), String> {
        self.is_told.store(true, Relaxed);
        self.current().check_names()
    }

    /// What is in the files now, if that is another set of CAs than the one that is used, with warnings. The error is why it cannot
    /// be used.
    pub fn read(&self) -> Result<Option<(Anchors, Vec<String>)>, String> {
        let mut report = Report::default();
        let new = Anchors::load_with_system(self.watched.places().iter().cloned(), self.has_system, &mut report);
        let old = self.current();
        if let Some(why) = report.errors.into_iter().next() {
            return Err(why);
        }
        if new.trust().is_empty() && !old.trust().is_empty() {
            let why = report.warnings.into_iter().next();
            return Err(why.unwrap_or_else(|| "there is no CA in it that can be trusted".to_owned()));
        }
        if self.is_told.load(Relaxed) {
            new.check_names()?;
        }
        Ok((new.digest() != old.digest()).then_some((new, report.warnings)))
    }
}
