// SPDX-License-Identifier: Apache-2.0
//! Decisions about requests: the virtual host of a request, whether it may use its connection, and whether the rules of
//! its location accept the connection.
//!
//! May use: config, info, mod_ssl, session, settings, site, trust.

pub mod routing;
pub mod rules;
