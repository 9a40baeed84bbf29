// SPDX-License-Identifier: Apache-2.0
//! The C interface of mod_tls.
