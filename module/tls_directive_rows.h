#pragma once
#define TLS_OWN_DIRECTIVES \
    TLS_SERVER("TLSEngine", "[address:]port on which connections are TLS") \
    TLS_SERVER("TLSCertificate", "PEM file of a certificate with its chain, and the file of its key if it has its own") \
    TLS_SERVER("TLSProtocol", "protocol versions, such as TLSv1.2+ or TLSv1.3") \
    TLS_SERVER("TLSCiphersPrefer", "cipher suites to prefer, in this order") \
    TLS_SERVER("TLSCiphersSuppress", "cipher suites not to use") \
    TLS_SERVER("TLSHonorClientOrder", "whether the client's order of cipher suites counts (on|off)") \
    TLS_SERVER("TLSStrictSNI", "whether clients that ask for an unknown server name are refused (on|off)") \
    TLS_SERVER("TLSSessionCache", "where sessions are kept (none|default|provider:arguments)") \
    TLS_SERVER("TLSSessionTickets", "whether sessions are resumed by tickets (on|off)") \
    TLS_SERVER("TLSSessionTicketCount", "how many tickets a client gets after a handshake of TLS 1.3") \
    TLS_SERVER("TLSSessionLifetime", "for how long sessions can be resumed, in seconds") \
    TLS_SERVER("TLSSessionTicketKeyFile", "file of at least 32 random bytes that ticket keys come from") \
    TLS_SERVER("TLSEarlyData", "whether requests may arrive as early data (on|off)") \
    TLS_SERVER("TLSMaxEarlyDataSize", "how much early data is taken at most, in bytes") \
    TLS_OPTIONS_ROW("TLSEarlyDataMethods", "requests of which methods may come as early data (none|safe|any)") \
    TLS_SERVER("TLSFIPS", "whether everything has to be approved by FIPS 140-3 (on|off)") \
    TLS_SERVER("TLSPolicy", "one word for protocols, suites and groups (modern|intermediate)") \
    TLS_SERVER("TLSGroupsPrefer", "key exchange groups to prefer, in this order") \
    TLS_SERVER("TLSGroupsSuppress", "key exchange groups not to use") \
    TLS_SERVER("TLSCertificateCompression", "whether certificates are compressed for clients that know how (on|off)") \
    TLS_SERVER("TLSMaxFragmentSize", "the largest records that are sent, in bytes") \
    TLS_SERVER("TLSKeyLogFile", "file that the secrets of all connections are written to") \
    TLS_SERVER("TLSClientCA", "PEM files of the CAs whose client certificates are believed, or directories of them") \
    TLS_SERVER("TLSClientCANames", "PEM files of the CAs that clients are told to have certificates of, or none") \
    TLS_SERVER("TLSClientVerifyDepth", "how many CAs may be above a client's certificate") \
    TLS_SERVER("TLSClientCRL", "files of revocation lists, PEM or DER, or directories of them") \
    TLS_SERVER("TLSClientCRLCheck", "which certificates have to be on no list (leaf|chain|none) [no_crl_for_cert_ok]") \
    TLS_AUTH_ROW("TLSClientCertificate", "certificate that clients have to present (none|optional|optional_no_ca|required)") \
    TLS_AUTH_ROW("TLSUserName", "variable that users with a client certificate are named by") \
    TLS_OPTIONS_ROW("TLSOptions", "[+|-]StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, LegacyDNStringFormat, Defaults") \
    TLS_PROXY("TLSProxyEngine", "whether backends are spoken to in TLS (on|off)") \
    TLS_PROXY("TLSProxyCA", "PEM files of the CAs whose backends are believed, directories of them, or system") \
    TLS_PROXY("TLSProxyCRL", "files of revocation lists about backends, PEM or DER, or directories of them") \
    TLS_PROXY("TLSProxyVerify", "whether backends are verified (required|none)") \
    TLS_PROXY("TLSProxyCheckPeerName", "whether certificates of backends have to be for their names (on|off)") \
    TLS_PROXY("TLSProxyProtocol", "protocol versions towards backends, such as TLSv1.2+ or TLSv1.3") \
    TLS_PROXY("TLSProxyCiphersPrefer", "cipher suites to prefer towards backends, in this order") \
    TLS_PROXY("TLSProxyCiphersSuppress", "cipher suites not to use towards backends") \
    TLS_PROXY("TLSProxyMachineCertificate", "PEM file of a certificate for backends that ask, and the file of its key") \


#define TLS_MOD_SSL_DIRECTIVES \
    TLS_SERVER("SSLPassPhraseDialog", "who is asked for pass phrases of keys (builtin|exec:program|\"|program\")") \
    TLS_SERVER("SSLSessionCache", "where sessions are kept (none|type:arguments)") \
    TLS_SERVER("SSLCryptoDevice", "(accepted, without effect)") \
    TLS_SERVER("SSLRandomSeed", "(accepted, without effect)") \
    TLS_SERVER("SSLVHostSNIPolicy", "when a request may name another host than the handshake (strict|secure|authonly|insecure)") \
    TLS_SERVER("SSLEngine", "whether connections to this server are TLS (on|off)") \
    TLS_SERVER("SSLFIPS", "whether everything has to be approved by FIPS 140-3 (on|off)") \
    TLS_AUTH_ROW("SSLCipherSuite", "[SSL|TLSv1.3] the cipher suites, in OpenSSL's language") \
    TLS_SERVER("SSLCertificateFile", "PEM file of a certificate, with those of its issuers") \
    TLS_SERVER("SSLCertificateKeyFile", "PEM file of the certificate's key") \
    TLS_SERVER("SSLCertificateChainFile", "PEM file of the certificates of issuers") \
    TLS_SERVER("SSLSessionTicketKeyFile", "file of 48 random bytes that ticket keys come from") \
    TLS_AUTH_ROW("SSLCACertificatePath", "directory of the CAs whose client certificates are believed") \
    TLS_AUTH_ROW("SSLCACertificateFile", "PEM file of the CAs whose client certificates are believed") \
    TLS_SERVER("SSLCADNRequestPath", "directory of the CAs that clients are told to have certificates of") \
    TLS_SERVER("SSLCADNRequestFile", "PEM file of the CAs that clients are told to have certificates of") \
    TLS_SERVER("SSLCARevocationPath", "directory of revocation lists") \
    TLS_SERVER("SSLCARevocationFile", "file of revocation lists") \
    TLS_SERVER("SSLCARevocationCheck", "which certificates have to be on no list (leaf|chain|none) [no_crl_for_cert_ok]") \
    TLS_AUTH_ROW("SSLVerifyClient", "certificate that clients have to present (none|optional|require|optional_no_ca)") \
    TLS_AUTH_ROW("SSLVerifyDepth", "how many CAs may be above a client's certificate") \
    TLS_SERVER("SSLSessionCacheTimeout", "for how long sessions can be resumed, in seconds") \
    TLS_SERVER("SSLProtocol", "protocol versions ([+|-]all, TLSv1.2, TLSv1.3 ...)") \
    TLS_SERVER("SSLHonorCipherOrder", "whether the server's order of cipher suites counts (on|off)") \
    TLS_SERVER("SSLCompression", "(accepted, without effect)") \
    TLS_SERVER("SSLSessionTickets", "whether sessions are resumed by tickets (on|off)") \
    TLS_SERVER("SSLInsecureRenegotiation", "(accepted, without effect)") \
    TLS_AUTH_ROW("SSLUserName", "variable that users with a client certificate are named by") \
    TLS_SERVER("SSLStrictSNIVHostCheck", "whether clients have to say whom they want (on|off)") \
    TLS_SERVER("SSLSRPVerifierFile", "(refused)") \
    TLS_SERVER("SSLSRPUnknownUserSeed", "(refused)") \
    TLS_PROXY("SSLProxyEngine", "whether backends are spoken to in TLS (on|off)") \
    TLS_PROXY("SSLProxyProtocol", "protocol versions towards backends ([+|-]all, TLSv1.2, TLSv1.3 ...)") \
    TLS_PROXY("SSLProxyCipherSuite", "[SSL|TLSv1.3] the cipher suites towards backends, in OpenSSL's language") \
    TLS_PROXY("SSLProxyVerify", "whether backends are verified (none|optional|require|optional_no_ca)") \
    TLS_PROXY("SSLProxyVerifyDepth", "how many CAs may be above a backend's certificate") \
    TLS_PROXY("SSLProxyCACertificateFile", "PEM file of the CAs whose backends are believed") \
    TLS_PROXY("SSLProxyCACertificatePath", "directory of the CAs whose backends are believed") \
    TLS_PROXY("SSLProxyCARevocationPath", "directory of revocation lists about backends") \
    TLS_PROXY("SSLProxyCARevocationFile", "file of revocation lists about backends") \
    TLS_PROXY("SSLProxyCARevocationCheck", "which certificates of backends have to be on no list (leaf|chain|none)") \
    TLS_PROXY("SSLProxyMachineCertificateFile", "PEM file of certificates and keys for backends that ask") \
    TLS_PROXY("SSLProxyMachineCertificatePath", "directory of certificates and keys for backends that ask") \
    TLS_PROXY("SSLProxyMachineCertificateChainFile", "PEM file of the issuers of certificates for backends that ask") \
    TLS_PROXY("SSLProxyCheckPeerExpire", "whether certificates of backends must not have expired (on|off)") \
    TLS_PROXY("SSLProxyCheckPeerCN", "whether common names of backends have to be theirs (on|off)") \
    TLS_PROXY("SSLProxyCheckPeerName", "whether certificates of backends have to be for their names (on|off)") \
    TLS_OPTIONS_ROW("SSLOptions", "[+|-]StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, OptRenegotiate, LegacyDNStringFormat") \
    TLS_SECTION("SSLRequireSSL", "requests have to come by TLS") \
    TLS_EXPRESSION("SSLRequire", "an expression that has to be true") \
    TLS_SECTION("SSLRenegBufferSize", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPEnable", "(refused, but for off)") \
    TLS_SERVER("SSLOCSPDefaultResponder", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPOverrideResponder", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPResponseTimeSkew", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPResponseMaxAge", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPResponderTimeout", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPUseRequestNonce", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPProxyURL", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPNoVerify", "(accepted, without effect)") \
    TLS_SERVER("SSLOCSPResponderCertificateFile", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingCache", "(accepted, without effect)") \
    TLS_SERVER("SSLUseStapling", "whether OCSP responses that others provide are expected to be stapled (on|off)") \
    TLS_SERVER("SSLStaplingResponseTimeSkew", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingResponderTimeout", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingResponseMaxAge", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingStandardCacheTimeout", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingReturnResponderErrors", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingFakeTryLater", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingErrorCacheTimeout", "(accepted, without effect)") \
    TLS_SERVER("SSLStaplingForceURL", "(accepted, without effect)") \
    TLS_SERVER("SSLOpenSSLConfCmd", "one of some commands for OpenSSL that are understood here, and its value") \
    TLS_ANYWHERE("SSLLog", "(refused)") \
    TLS_ANYWHERE("SSLLogLevel", "(refused)") \

