// AWS Signature Version 4 in the Authorization header, as S3 and what speaks its protocol take it ("Authenticating
// Requests (AWS Signature Version 4)", Amazon S3 API Reference). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace gantry::wire {

struct AwsCredentials {
  std::string key_id;
  std::string secret;
  std::string session_token;  // of temporary ones; else empty
};

struct AwsRequest {
  std::string_view method;  // "PUT"
  std::string_view host;    // as in the Host header
  std::string_view path;    // "/bucket/key", percent-encoded as it is sent
  std::string_view query;   // percent-encoded, without "?"; a name without a value too
  std::string_view body;
};

/// What must be sent besides Host: x-amz-date, x-amz-content-sha256, x-amz-security-token, authorization.
std::vector<std::pair<std::string, std::string>> aws_headers(const AwsRequest& request,
                                                             const AwsCredentials& credentials, std::string_view region,
                                                             std::string_view service, Time now);

}  // namespace gantry::wire
