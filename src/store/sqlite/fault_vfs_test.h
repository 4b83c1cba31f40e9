// A disk that fails on demand: an SQLite VFS that passes everything to the system's, and for tests only. It also checks
// that what is acknowledged has been synced.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include <sqlite3.h>

namespace gantry::store::sqlite {

/// One at a time, and longer than every store that goes through it. The switches may be set from any thread.
class FaultVfs {
 public:
  static constexpr const char* name = "gantry-fault";

  FaultVfs() : base_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *base_;
    vfs_.zName = name;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.pAppData = this;
    vfs_.pNext = nullptr;
    vfs_.xOpen = &FaultVfs::open;
    vfs_.xDelete = [](sqlite3_vfs* v, const char* path, int sync) { return base(v)->xDelete(base(v), path, sync); };
    vfs_.xAccess = [](sqlite3_vfs* v, const char* path, int flags, int* out) {
      return base(v)->xAccess(base(v), path, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs* v, const char* path, int size, char* out) {
      return base(v)->xFullPathname(base(v), path, size, out);
    };
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  /// Writes are refused once so many more have been done; negative: never.
  std::atomic<int> writes_left = -1;
  /// What a refused write ends with: as the system's VFS, SQLITE_FULL, or SQLITE_IOERR_WRITE with an errno.
  std::atomic<int> write_code = SQLITE_FULL;
  std::atomic<int> write_errno = 0;
  /// Writes to the file itself, as by a checkpoint, are refused with SQLITE_FULL; those to the log are not.
  std::atomic<bool> refuse_file = false;
  /// Syncs fail with EIO.
  std::atomic<bool> fail_sync = false;

  /// Writes to the log since it was last synced.
  std::atomic<int> unsynced_log_writes = 0;
  std::atomic<int> syncs = 0;

 private:
  struct File {
    sqlite3_file file;
    FaultVfs* vfs;
    bool is_log;
    bool is_file;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static sqlite3_vfs* base(sqlite3_vfs* vfs) { return static_cast<FaultVfs*>(vfs->pAppData)->base_; }
  static File* own(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return own(file)->real(); }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    auto* mine = own(file);
    mine->vfs = static_cast<FaultVfs*>(vfs->pAppData);
    mine->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    mine->is_file = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    std::memset(mine->real(), 0, static_cast<std::size_t>(base(vfs)->szOsFile));
    int code = base(vfs)->xOpen(base(vfs), path, mine->real(), flags, out_flags);
    file->pMethods = mine->real()->pMethods ? &methods() : nullptr;
    return code;
  }

  static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
    auto& self = *own(file)->vfs;
    if (self.refuse_file && own(file)->is_file) return SQLITE_FULL;
    if (self.writes_left.load() == 0) {
      self.injected_errno_ = self.write_errno.load();
      return self.write_code;
    }
    if (self.writes_left.load() > 0) --self.writes_left;
    if (own(file)->is_log) ++self.unsynced_log_writes;
    return real(file)->pMethods->xWrite(real(file), data, size, offset);
  }

  static int sync(sqlite3_file* file, int flags) {
    auto& self = *own(file)->vfs;
    if (self.fail_sync) {
      self.injected_errno_ = EIO;
      return SQLITE_IOERR_FSYNC;
    }
    ++self.syncs;
    if (own(file)->is_log) self.unsynced_log_writes = 0;
    return real(file)->pMethods->xSync(real(file), flags);
  }

  static int control(sqlite3_file* file, int operation, void* argument) {
    int injected = own(file)->vfs->injected_errno_;
    if (operation != SQLITE_FCNTL_LAST_ERRNO || injected == 0) {
      return real(file)->pMethods->xFileControl(real(file), operation, argument);
    }
    *static_cast<int*>(argument) = injected;
    return SQLITE_OK;
  }

  static const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods table = {
        .iVersion = 2,  // with shared memory, without memory mapping
        .xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
        .xRead = [](sqlite3_file* f, void* out, int n,
                    sqlite3_int64 at) { return real(f)->pMethods->xRead(real(f), out, n, at); },
        .xWrite = &FaultVfs::write,
        .xTruncate = [](sqlite3_file* f, sqlite3_int64 n) { return real(f)->pMethods->xTruncate(real(f), n); },
        .xSync = &FaultVfs::sync,
        .xFileSize = [](sqlite3_file* f, sqlite3_int64* out) { return real(f)->pMethods->xFileSize(real(f), out); },
        .xLock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); },
        .xUnlock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); },
        .xCheckReservedLock = [](sqlite3_file* f,
                                 int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); },
        .xFileControl = &FaultVfs::control,
        .xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
        .xDeviceCharacteristics = [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
        .xShmMap = [](sqlite3_file* f, int region, int size, int extend,
                      void volatile** out) { return real(f)->pMethods->xShmMap(real(f), region, size, extend, out); },
        .xShmLock = [](sqlite3_file* f, int at, int n,
                       int flags) { return real(f)->pMethods->xShmLock(real(f), at, n, flags); },
        .xShmBarrier = [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); },
        .xShmUnmap = [](sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); },
        .xFetch = nullptr,
        .xUnfetch = nullptr,
    };
    return table;
  }

  sqlite3_vfs* base_;
  sqlite3_vfs vfs_{};
  std::atomic<int> injected_errno_ = 0;
};

}  // namespace gantry::store::sqlite
