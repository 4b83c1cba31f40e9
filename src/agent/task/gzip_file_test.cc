#include "agent/task/gzip_file.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

std::string unpacked(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  std::string text;
  char piece[4096];
  for (int got = gzread(file, piece, sizeof piece); got > 0; got = gzread(file, piece, sizeof piece)) {
    text.append(piece, static_cast<std::size_t>(got));
  }
  EXPECT_EQ(gzclose(file), Z_OK) << "it has its end and its checksum";
  return text;
}

TEST(GzipFile, what_is_unpacked_is_what_was_written) {
  TemporaryDirectory directory;
  FakeEnv env;
  std::string path = directory.file("log.gz");
  GzipFile file(path);
  std::string text;
  for (std::size_t size : {0, 1, 70'000, 300'000, 5}) {
    std::string piece(size, 'x');
    // Random bytes do not shrink, so that more comes out than fits at once.
    env.random_bytes({reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()});
    file.write(piece);
    text += piece;
  }
  std::int64_t bytes = file.finish();
  EXPECT_EQ(bytes, static_cast<std::int64_t>(std::filesystem::file_size(path)));
  EXPECT_EQ(unpacked(path), text);
}

TEST(GzipFile, of_nothing_is_a_file_too) {
  TemporaryDirectory directory;
  GzipFile file(directory.file("log.gz"));
  file.finish();
  EXPECT_EQ(unpacked(directory.file("log.gz")), "");
}

TEST(GzipFile, that_cannot_be_made_is_an_error) { EXPECT_THROW(GzipFile("/nowhere/at/all"), Error); }

}  // namespace
}  // namespace gantry::agent
