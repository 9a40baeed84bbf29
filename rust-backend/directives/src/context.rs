// SPDX-License-Identifier: Apache-2.0
//! Where a directive is allowed.

/// Where a directive is allowed, and which `AllowOverride` it needs in an .htaccess file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Outside of virtual hosts: it is about the whole server.
    Server,
    /// Outside of virtual hosts, and in them.
    Host,
    /// Outside of virtual hosts, in them, and in `<Proxy>` sections.
    Proxy,
    /// Outside of virtual hosts, in them, in sections, and in .htaccess files with AuthConfig.
    HostOrSection,
    /// In sections, and in .htaccess files with AuthConfig.
    Section,
    /// Everywhere; in .htaccess files with Options.
    Options,
    /// Everywhere; in .htaccess files with any override.
    Anywhere,
}

impl Context {
    /// The places, as httpd's manual names them.
    ///
    /// ```
    /// use mod_tls_directives::Context;
    ///
    /// assert_eq!(Context::Host.places(), "server config, virtual host");
    /// ```
    pub const fn places(self) -> &'static str {
        match self {
            Self::Server => "server config",
            Self::Host => "server config, virtual host",
            Self::Proxy => "server config, virtual host, `<Proxy>`",
            Self::Section => "directory, .htaccess",
            Self::HostOrSection | Self::Options | Self::Anywhere => "server config, virtual host, directory, .htaccess",
        }
    }

    /// The argument of `AllowOverride` that allows the directive in .htaccess files; none where nothing does.
    ///
    /// ```
    /// use mod_tls_directives::Context;
    ///
    /// assert_eq!(Context::Options.allow_override(), Some("Options"));
    /// assert_eq!(Context::Host.allow_override(), None);
    /// ```
    pub const fn allow_override(self) -> Option<&'static str> {
        match self {
            Self::Server | Self::Host | Self::Proxy => None,
            Self::HostOrSection | Self::Section => Some("AuthConfig"),
            Self::Options => Some("Options"),
            Self::Anywhere => Some("All"),
        }
    }
}
