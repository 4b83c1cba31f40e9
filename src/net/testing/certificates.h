// For tests: an authority of their own and certificates of any date and name, as PEM files in a directory that goes
// away with it.
#pragma once

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

namespace gantry::net {

class TestAuthority {
 public:
  struct Files {
    std::string certificate;
    std::string key;
  };
  struct Wanted {
    std::string names = "DNS:localhost,IP:127.0.0.1";  // as OpenSSL writes subjectAltName
    long from_s = -3600;                               // from now
    long until_s = 3600;
    bool self_signed = false;
  };

  TestAuthority() {
    char name[] = "/tmp/gantry-tls-test-XXXXXX";
    if (!::mkdtemp(name)) throw std::runtime_error("cannot make a directory for the test");
    directory_ = name;
    key_ = EVP_EC_gen("P-256");
    certificate_ = make(key_, {.names = "", .from_s = -86400, .until_s = 86400, .self_signed = true});
    write(file(), certificate_, nullptr);
  }
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;
  ~TestAuthority() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  /// What clients are to believe.
  std::string file() const { return directory_ + "/ca.pem"; }
  std::string directory() const { return directory_; }

  Files issue(Wanted wanted) {
    std::string base = directory_ + "/" + std::to_string(++issued_);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = make(key, wanted);
    Files files{base + ".pem", base + ".key"};
    write(files.certificate, certificate, nullptr);
    write(files.key, nullptr, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return files;
  }
  Files issue() { return issue(Wanted()); }

 private:
  X509* make(EVP_PKEY* key, const Wanted& wanted) {
    X509* certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate), wanted.from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wanted.until_s);
    X509_set_pubkey(certificate, key);
    bool authority = wanted.names.empty();
    X509_NAME* name = X509_get_subject_name(certificate);
    std::string text = authority ? directory_ : "gantry test " + std::to_string(serial_);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(certificate, wanted.self_signed ? name : X509_get_subject_name(certificate_));
    if (authority) {
      extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
    } else {
      extend(certificate, NID_subject_alt_name, wanted.names.c_str());
    }
    X509_sign(certificate, wanted.self_signed ? key : key_, EVP_sha256());
    return certificate;
  }

  static void extend(X509* certificate, int kind, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    if (!extension) throw std::runtime_error("cannot make a certificate for the test");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  static void write(const std::string& path, X509* certificate, EVP_PKEY* key) {
    std::FILE* out = std::fopen(path.c_str(), "w");
    if (!out) throw std::runtime_error("cannot write " + path);
    if (certificate) PEM_write_X509(out, certificate);
    if (key) PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(out);
  }

  std::string directory_;
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
  int issued_ = 0;
  long serial_ = 0;
};

}  // namespace gantry::net
