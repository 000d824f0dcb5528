r"""
# Windows and macOS

| | Linux | macOS | Windows |
|---|---|---|---|
| the tests are run there | yes | no | no |
| the library | tested | expected to work: asyncio and sockets only | expected to work, on asyncio's Proactor loop |
| `FileCache`: only you may read it | tested: mode 0600, folder 0700 | expected: the same code | as private as its folder: keep it in your profile |
| `FileCache`: several processes | tested: a lock file | expected: the same code | threads wait for each other, processes do not |
| `KeyringCache` | with a Secret Service running | the Keychain, by the `keyring` package: not tried | the Credential Locker, likewise |
| waking from sleep | tested with a clock that jumps | expected; not tried on a real machine | the same |
| the command line | tested, in terminals and without | expected | expected; Ctrl-C and colours not tried |
| services and `os.fork` | tested | expected; Apple's own libraries may not survive a fork | there is no fork |

"Expected" means: nothing in the code is known to stand against it, and nobody has looked. Reports are welcome.
"""

__all__: list[str] = []
