// Against the examples of "Signature Calculations for the Authorization Header", Amazon S3 API Reference.
#include "wire/aws_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::wire {
namespace {

const AwsCredentials example{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};

std::string authorization(const AwsRequest& request, const AwsCredentials& credentials = example) {
  auto time = parse_time("2013-05-24T00:00:00.000Z");
  return aws_headers(request, credentials, "us-east-1", "s3", time.value()).back().second;
}

TEST(AwsSignature, IsThatOfTheDocumentedExamples) {
  EXPECT_EQ(authorization({"GET", "examplebucket.s3.amazonaws.com", "/", "lifecycle", ""}),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
            "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_THAT(authorization({"GET", "examplebucket.s3.amazonaws.com", "/", "prefix=J&max-keys=2", ""}),
              testing::EndsWith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(AwsSignature, CoversEverythingThatIsSent) {
  AwsRequest request{"PUT", "host", "/bucket/key", "", "body"};
  std::string plain = authorization(request);
  for (AwsRequest other :
       {AwsRequest{"GET", "host", "/bucket/key", "", "body"}, AwsRequest{"PUT", "other", "/bucket/key", "", "body"},
        AwsRequest{"PUT", "host", "/bucket/other", "", "body"}, AwsRequest{"PUT", "host", "/bucket/key", "acl", "body"},
        AwsRequest{"PUT", "host", "/bucket/key", "", "bodz"}}) {
    EXPECT_NE(authorization(other), plain);
  }
  EXPECT_THAT(authorization(request, {"id", "secret", "token"}), testing::HasSubstr("x-amz-security-token,"));
}

}  // namespace
}  // namespace gantry::wire
