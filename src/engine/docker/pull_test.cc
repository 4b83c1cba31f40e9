// Image references and what an engine says while it pulls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/docker/image_reference.h"
#include "engine/docker/pull_progress.h"

namespace gantry::engine::docker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string split(std::string_view text) {
  ImageReference reference = parse_image_reference(text);
  return reference.name + " " + reference.tag;
}

TEST(ImageReference, IsSplitIntoNameAndTag) {
  EXPECT_EQ(split("busybox"), "busybox latest");
  EXPECT_EQ(split("busybox:1.36"), "busybox 1.36");
  EXPECT_EQ(split("registry.example:5000/team/app"), "registry.example:5000/team/app latest");
  EXPECT_EQ(split("registry.example:5000/team/app:v2"), "registry.example:5000/team/app v2");
  EXPECT_EQ(split("app@sha256:0123"), "app sha256:0123");
  EXPECT_EQ(split("app:v2@sha256:0123"), "app sha256:0123");
}

TEST(ImageReference, ThatLeadsElsewhereIsRefused) {
  for (std::string text : {"", "a b", "a?x=1", "../containers/x", "a/./b", "a//b", "/a", "a/", "a%2e", "a:", "a@",
                           "a@b", "a@b@sha256:0", "a@b/c:d", "a:b:c", ":a", "a\n", "grüße"}) {
    EXPECT_THROW(parse_image_reference(text), Error) << text;
  }
  EXPECT_THROW(parse_image_reference(std::string(2000, 'a')), Error);
}

class PullProgressTest : public testing::Test {
 protected:
  PullProgressTest() : progress_("app:v2", [this](std::string line) { lines_.push_back(std::move(line)); }) {}
  Error error_of(std::string_view text) {
    PullProgress progress("app:v2", nullptr);
    try {
      progress.feed(text, seconds(1));
      progress.finish(seconds(1));
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::internal, "");
  }

  std::vector<std::string> lines_;
  PullProgress progress_;
};

TEST_F(PullProgressTest, ReportsALineNowAndThen) {
  std::string stream =
      "{\"status\":\"Pulling from team/app\",\"id\":\"v2\"}\r\n"
      "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"aa\"}\r\n"
      "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1000000,\"total\":4000000},\"id\":\"aa\"}\r\n"
      "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":2000000,\"total\":4000000},\"id\":\"aa\"}\r\n";
  for (char c : stream) progress_.feed(std::string(1, c), seconds(1));
  progress_.feed("{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":6000000},\"id\":\"bb\"}\r\n",
                 seconds(9));
  progress_.feed("{\"status\":\"Status: Downloaded newer image for app:v2\"}", seconds(9));
  progress_.finish(seconds(9));
  EXPECT_THAT(lines_,
              ElementsAre("Pulling from team/app", "downloaded 1.0 of 4.0 MB in 1 layers",
                          "downloaded 2.0 of 10.0 MB in 2 layers", "Status: Downloaded newer image for app:v2"));
}

TEST_F(PullProgressTest, AnErrorLineIsAnErrorThoughTheStatusWas200) {
  Error error = error_of(
      "{\"status\":\"Pulling from team/app\",\"id\":\"v2\"}\n"
      "{\"errorDetail\":{\"message\":\"manifest for app:v2 not found: manifest unknown\"},"
      "\"error\":\"manifest for app:v2 not found: manifest unknown\"}\n");
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.message(), HasSubstr("image app:v2 not found"));
  EXPECT_THAT(error.message(), HasSubstr("manifest unknown"));
  EXPECT_EQ(error_of("{\"errorDetail\":{\"message\":\"unexpected EOF\"}}\n").code(), ErrorCode::unavailable);
}

TEST_F(PullProgressTest, WhatIsNotJsonIsRefused) { EXPECT_EQ(error_of("<html>\n").code(), ErrorCode::unsupported); }

TEST_F(PullProgressTest, ALineHasALimit) {
  EXPECT_EQ(error_of(std::string(100'000, ' ')).code(), ErrorCode::unsupported);
}

TEST(PullError, IsJudgedByTheEnginesWords) {
  struct Case {
    int status;
    std::string_view reason;
    ErrorCode code;
  };
  for (const Case& c : {
           Case{404, "manifest for busybox:nope not found: manifest unknown: manifest unknown", ErrorCode::not_found},
           Case{404, "pull access denied for nope, repository does not exist or may require 'docker login': denied",
                ErrorCode::not_authorized},
           Case{500, "Head \"https://r.example/v2/a/manifests/1\": unauthorized: authentication required",
                ErrorCode::not_authorized},
           Case{500, "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                ErrorCode::unavailable},
           Case{500, "toomanyrequests: You have reached your pull rate limit", ErrorCode::unavailable},
           Case{200, "no matching manifest for linux/arm64/v8 in the manifest list entries", ErrorCode::not_found},
           Case{200, "write /var/lib/docker/tmp/x: no space left on device", ErrorCode::unavailable},
           Case{400, "invalid reference format", ErrorCode::invalid_input},
           Case{500, "something new", ErrorCode::unavailable},
       }) {
    Error error = pull_error("busybox:nope", c.status, c.reason);
    EXPECT_EQ(error.code(), c.code) << c.reason;
    EXPECT_THAT(error.message(), HasSubstr(std::string(c.reason)));
  }
}

}  // namespace
}  // namespace gantry::engine::docker
