"""`Piping`: ``pipe`` with the types of what comes out.

Floor 2. Typed as reactivex' own is, up to seven steps, but a `Stream` comes out where there it is an Observable.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from reactivex import ConnectableObservable, Observable

if TYPE_CHECKING:
    from rxsdk.reactive.streams import ConnectableStream, Stream

__all__ = ["Piping"]

T_co = TypeVar("T_co", covariant=True)
_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")
_D = TypeVar("_D")
_E = TypeVar("_E")
_F = TypeVar("_F")
_G = TypeVar("_G")


MYPY = False
"""True for mypy. To choose an overload it looks at the steps without their context, where ``ops.map(lambda res: …)``
knows nothing of ``res``: there ``pipe`` gives Any, rather than an error for what is right. (Pyright knows both.)
"""


class Piping(Observable[T_co]):
    """What `Stream` has its ``pipe`` from."""

    if not MYPY:

        @overload
        def pipe(self) -> Self: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], ConnectableObservable[_A]],
            /,
        ) -> ConnectableStream[_A]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], Observable[_A]],
            /,
        ) -> Stream[_A]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            /,
        ) -> _A: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], ConnectableObservable[_B]],
            /,
        ) -> ConnectableStream[_B]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], Observable[_B]],
            /,
        ) -> Stream[_B]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            /,
        ) -> _B: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], ConnectableObservable[_C]],
            /,
        ) -> ConnectableStream[_C]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], Observable[_C]],
            /,
        ) -> Stream[_C]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            /,
        ) -> _C: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], ConnectableObservable[_D]],
            /,
        ) -> ConnectableStream[_D]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], Observable[_D]],
            /,
        ) -> Stream[_D]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            /,
        ) -> _D: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], ConnectableObservable[_E]],
            /,
        ) -> ConnectableStream[_E]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], Observable[_E]],
            /,
        ) -> Stream[_E]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], _E],
            /,
        ) -> _E: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], _E],
            op6: Callable[[_E], ConnectableObservable[_F]],
            /,
        ) -> ConnectableStream[_F]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], _E],
            op6: Callable[[_E], Observable[_F]],
            /,
        ) -> Stream[_F]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], _E],
            op6: Callable[[_E], _F],
            /,
        ) -> _F: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], _E],
            op6: Callable[[_E], _F],
            op7: Callable[[_F], ConnectableObservable[_G]],
            /,
        ) -> ConnectableStream[_G]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], _E],
            op6: Callable[[_E], _F],
            op7: Callable[[_F], Observable[_G]],
            /,
        ) -> Stream[_G]: ...

        @overload
        def pipe(
            self,
            op1: Callable[[Observable[T_co]], _A],
            op2: Callable[[_A], _B],
            op3: Callable[[_B], _C],
            op4: Callable[[_C], _D],
            op5: Callable[[_D], _E],
            op6: Callable[[_E], _F],
            op7: Callable[[_F], _G],
            /,
        ) -> _G: ...

        @overload
        def pipe(self, *steps: Callable[[Any], Any]) -> Any: ...

    def pipe(self, *steps: Callable[[Any], Any]) -> Any:
        """reactivex' ``pipe``; what comes out is a Stream again, unless an operator makes something of its own."""
        result: Any = self._piped()
        for operator in steps:
            result = operator(result)
        return self._ours(result) if steps else self

    @abstractmethod
    def _piped(self) -> Observable[Any]:
        """What the operators are given."""

    @abstractmethod
    def _ours(self, result: Any) -> Any:
        """What the operators made, as ours."""
