// SPDX-License-Identifier: Apache-2.0
//! Decisions about requests: which virtual host one is for, whether it may use its connection, and whether its location
//! takes the connection.
//!
//! May use: config, info, mod_ssl, session, settings, site, trust.

pub mod routing;
pub mod rules;
