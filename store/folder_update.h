// Folder update: what a change of some documents' placements does to a folder's rows, and which shown paths it changes.
//
//   placements before and after -> rows as they will be (an overlay) -> what the touched paths show before and after -> the rows are written
//
// Private to folder.cpp. Threads: one; it must not outlive what the constructor was given.
#pragma once
#include "store/folder_state.h"

namespace dozo::store {

class FolderUpdate {
 public:
  FolderUpdate(const FolderRows& rows, const View& view, NameRule rule, WriteTransaction& out)
      : rows_(rows), view_(view), rule_(rule), out_(out), keys_(rows) {}

  /// The view has changed already. Every document that changed is in both. `changes`: as Folder::apply has them.
  Result<void> run(const FolderState::Placements& before, const FolderState::Placements& after, std::vector<Change>* changes);

 private:
  struct Touched {
    std::string path;
    FolderRow before;
  };
  Result<FolderRow*> folder(const std::string& path);
  Result<std::vector<DocumentId>*> name(const std::string& path);
  void touch(const Placement& it);
  Result<void> enter(const DocumentId& document, const Placement& it, bool in, bool spells);
  Result<void> settle_spellings(const FolderState& state);
  Result<void> settle_names(const FolderState& state);
  Result<void> settle_conflicts(const FolderState& state, const FolderState::Placements& before, const FolderState::Placements& after);
  Result<std::map<std::string, Shown>> shown(const FolderState& state, const std::set<std::string>& respelt) const;
  Result<void> write();

  const FolderRows& rows_;
  const View& view_;
  NameRule rule_;
  WriteTransaction& out_;
  FolderOverlay overlay_;
  FolderKeys keys_;
  std::map<FolderKey, Touched> folders_;  ///< those of the overlay
  std::set<std::string> names_;           ///< that documents came to or left
  std::set<std::string> own_;             ///< folders whose own documents changed
  std::set<std::string> beside_;          ///< folders whose contents beside changed
};

}  // namespace dozo::store
