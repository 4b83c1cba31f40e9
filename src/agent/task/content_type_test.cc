#include "agent/task/content_type.h"

#include <gtest/gtest.h>

namespace gantry::agent {
namespace {

TEST(ContentType, is_told_by_the_extension) {
  EXPECT_EQ(content_type_of("public/report.html"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("public/PHOTO.JPG"), "image/jpeg");
  EXPECT_EQ(content_type_of("public/archive.tar.gz"), "application/gzip");
  EXPECT_EQ(content_type_of("public/build.log"), "text/plain; charset=utf-8");
}

TEST(ContentType, is_bytes_where_nothing_is_known) {
  EXPECT_EQ(content_type_of("public/data"), "application/octet-stream");
  EXPECT_EQ(content_type_of("public/v1.txt/data"), "application/octet-stream");
  EXPECT_EQ(content_type_of("public/data."), "application/octet-stream");
  EXPECT_EQ(content_type_of(""), "application/octet-stream");
}

}  // namespace
}  // namespace gantry::agent
