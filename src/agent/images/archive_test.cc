// From an artifact's bytes to what the engine is given: compression, and the rewriting of archives.
#include "agent/images/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/images/decompress.h"
#include "agent/testing/agent_world.h"
#include "agent/testing/tar_text.h"
#include "engine/tar_reader.h"

namespace gantry::agent {
namespace {

using testing::HasSubstr;

std::string gzip(const std::string& bytes) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, bytes.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

std::string lz4(const std::string& bytes) {
  std::string out(LZ4F_compressFrameBound(bytes.size(), nullptr), '\0');
  out.resize(LZ4F_compressFrame(out.data(), out.size(), bytes.data(), bytes.size(), nullptr));
  return out;
}

/// Gives its bytes in pieces of a size.
class Pieces : public net::BodyReader {
 public:
  Pieces(std::string bytes, std::size_t size) : bytes_(std::move(bytes)), size_(size) {}
  Async<std::string> read_some() override {
    std::string piece = bytes_.substr(at_, size_);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::string bytes_;
  std::size_t size_;
  std::size_t at_ = 0;
};

struct World {
  FakeEnv env;
  TemporaryDirectory directory;

  std::string unpack(const std::string& bytes, Compression compression, std::size_t piece = 1000,
                     std::int64_t bytes_max = 10'000'000) {
    sum = std::make_shared<StreamSum>();
    auto body = decompressed(env, std::make_shared<Pieces>(bytes, piece), compression, bytes_max, sum, {});
    return env.run(net::read_all(*body, 100'000'000));
  }

  /// What the engine is given for this archive, as "name=content" a line.
  std::string rewrite(const std::string& tar) {
    SpooledArchive archive = env.run(spool_archive(env, directory.file(""), std::make_shared<net::StringBody>(tar)));
    ArchivedImage image = env.run(find_image(env, archive));
    ImageTar result = rewritten(env, archive, image, "ours:latest", {});
    std::string bytes = env.run(net::read_all(*result.body, 100'000'000));
    EXPECT_EQ(static_cast<std::int64_t>(bytes.size()), result.bytes);
    return env.run(list(bytes));
  }

  static Async<std::string> list(std::string tar) {
    engine::TarReader reader(std::make_shared<net::StringBody>(tar));
    std::string text;
    while (auto entry = co_await reader.next()) {
      text += entry->name + "=";
      for (;;) {
        std::string piece = co_await reader.read_some();
        if (piece.empty()) break;
        text += piece;
      }
      text += "\n";
    }
    co_return text;
  }

  std::string refusal(const std::string& tar) {
    try {
      return "taken: " + rewrite(tar);
    } catch (const Error& error) {
      return error.message();
    }
  }

  std::shared_ptr<StreamSum> sum;
};

const std::string long_text = [] {
  std::string text;
  for (int i = 0; i < 60'000; ++i) text += fmt::format("{} bottles\n", i * 7919);
  return text;
}();

TEST(Decompress, every_format_whatever_the_pieces) {
  World world;
  struct Case {
    Compression compression;
    std::string bytes;
  };
  for (const Case& c : {Case{Compression::none, long_text}, Case{Compression::gzip, gzip(long_text)},
                        Case{Compression::zstd, zstd(long_text)}, Case{Compression::lz4, lz4(long_text)}}) {
    EXPECT_EQ(compression_of_bytes(c.bytes), c.compression);
    for (std::size_t piece : {std::size_t{7}, std::size_t{1000}, std::size_t{1u << 20}}) {
      EXPECT_EQ(world.unpack(c.bytes, c.compression, piece), long_text) << compression_name(c.compression);
      EXPECT_EQ(world.sum->bytes, static_cast<std::int64_t>(c.bytes.size()));
      EXPECT_EQ(hex(world.sum->sha256), hex(sha256(c.bytes)));
    }
    if (c.compression == Compression::none) continue;
    EXPECT_EQ(world.unpack(c.bytes + c.bytes, c.compression), long_text + long_text) << "one behind the other";
    EXPECT_THROW(world.unpack(c.bytes.substr(0, c.bytes.size() - 3), c.compression), Error) << "cut off";
    EXPECT_THROW(world.unpack(c.bytes + "trailing rubbish", c.compression), Error);
    EXPECT_THROW(world.unpack("", c.compression), Error);
    EXPECT_THROW(world.unpack(c.bytes, c.compression, 1000, 10'000), Error) << "more than it may be";
  }
}

TEST(Decompress, names_say_formats) {
  EXPECT_EQ(compression_of_name("public/image.tar"), Compression::none);
  EXPECT_EQ(compression_of_name("a.tar.gz"), Compression::gzip);
  EXPECT_EQ(compression_of_name("a.tar.zst"), Compression::zstd);
  EXPECT_EQ(compression_of_name("a.tar.lz4"), Compression::lz4);
  EXPECT_EQ(compression_of_name("a.zip"), std::nullopt);
}

TEST(Archive, only_the_image_goes_on_under_our_name) {
  World world;
  EXPECT_EQ(world.rewrite(tar_entry("secret/x", "not wanted") + image_tar("busybox:latest")),
            R"(manifest.json=[{"Config":"config.json","RepoTags":["ours:latest"],"Layers":["layer-0.tar"]}])"
            "\nconfig.json={}\nlayer-0.tar=layer bytes\n");
}

TEST(Archive, equal_layers_may_be_links) {
  World world;
  std::string manifest = R"([{"Config":"c","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar"]}])";
  EXPECT_EQ(
      world.rewrite(tar_entry("./a/layer.tar", "same") + tar_entry("c", "{}") +
                    tar_entry("b/layer.tar", "", '2', "../a/layer.tar") + tar_entry("manifest.json", manifest) +
                    tar_end()),
      R"(manifest.json=[{"Config":"config.json","RepoTags":["ours:latest"],"Layers":["layer-0.tar","layer-0.tar"]}])"
      "\nconfig.json={}\nlayer-0.tar=same\n");
}

TEST(Archive, what_is_not_one_image_is_refused) {
  World world;
  std::string image = R"({"Config":"c","RepoTags":[],"Layers":["l"]})";
  std::string files = tar_entry("c", "{}") + tar_entry("l", "x");
  auto with = [&](std::string_view manifest) { return files + tar_entry("manifest.json", manifest) + tar_end(); };
  EXPECT_THAT(world.refusal(with("[" + image + "," + image + "]")), HasSubstr("it holds 2 images"));
  EXPECT_THAT(world.refusal(with("[]")), HasSubstr("names none"));
  EXPECT_THAT(world.refusal(with("nonsense")), HasSubstr("not JSON"));
  EXPECT_THAT(world.refusal(with("[7]")), HasSubstr("no Config"));
  EXPECT_THAT(world.refusal(with(R"([{"Config":"c","Layers":["../../etc/passwd"]}])")), HasSubstr("is missing"));
  EXPECT_THAT(world.refusal(with(R"([{"Config":"/etc/passwd","Layers":["l"]}])")), HasSubstr("is missing"));
  EXPECT_THAT(world.refusal(with(R"([{"Config":"c","Layers":[7]}])")), HasSubstr("does not name"));
  EXPECT_THAT(world.refusal(files + tar_end()), HasSubstr("no manifest.json"));
  EXPECT_THAT(world.refusal(image_tar().substr(0, 1400)), HasSubstr("ends inside"));
  EXPECT_THAT(world.refusal("this is no tar archive"), HasSubstr("tar archive"));
  // A loop of links, and a link that leads out.
  std::string loop = tar_entry("c", "", '2', "l") + tar_entry("l", "", '2', "c");
  EXPECT_THAT(world.refusal(loop + tar_entry("manifest.json", "[" + image + "]") + tar_end()), HasSubstr("is missing"));
  std::string out = tar_entry("c", "", '2', "/etc/passwd") + tar_entry("l", "", '2', "../../x");
  EXPECT_THAT(world.refusal(out + tar_entry("manifest.json", "[" + image + "]") + tar_end()), HasSubstr("is missing"));
  EXPECT_TRUE(std::filesystem::is_empty(world.directory.file(""))) << "nothing stays on the disk";
}

}  // namespace
}  // namespace gantry::agent
