from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INT32: _ClassVar[DataType]
    INT64: _ClassVar[DataType]
    FLOAT: _ClassVar[DataType]
    DOUBLE: _ClassVar[DataType]
    STRING: _ClassVar[DataType]
    BOOL: _ClassVar[DataType]
    TENSOR: _ClassVar[DataType]
    NAME_ATTR_LIST: _ClassVar[DataType]
    ARRAY_VALUE: _ClassVar[DataType]
    DATA_FORMAT: _ClassVar[DataType]

class InputDataFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NCHW: _ClassVar[InputDataFormat]
    NHWC: _ClassVar[InputDataFormat]
INT32: DataType
INT64: DataType
FLOAT: DataType
DOUBLE: DataType
STRING: DataType
BOOL: DataType
TENSOR: DataType
NAME_ATTR_LIST: DataType
ARRAY_VALUE: DataType
DATA_FORMAT: DataType
NCHW: InputDataFormat
NHWC: InputDataFormat

class BigDLModule(_message.Message):
    __slots__ = ("name", "subModules", "weight", "bias", "preModules", "moduleType", "attr", "namePostfix", "hasParameters", "parameters")
    class AttrEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: AttrValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[AttrValue, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBMODULES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    PREMODULES_FIELD_NUMBER: _ClassVar[int]
    MODULETYPE_FIELD_NUMBER: _ClassVar[int]
    ATTR_FIELD_NUMBER: _ClassVar[int]
    NAMEPOSTFIX_FIELD_NUMBER: _ClassVar[int]
    HASPARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    subModules: _containers.RepeatedCompositeFieldContainer[BigDLModule]
    weight: BigDLTensor
    bias: BigDLTensor
    preModules: _containers.RepeatedScalarFieldContainer[str]
    moduleType: str
    attr: _containers.MessageMap[str, AttrValue]
    namePostfix: str
    hasParameters: bool
    parameters: _containers.RepeatedCompositeFieldContainer[BigDLTensor]
    def __init__(self, name: _Optional[str] = ..., subModules: _Optional[_Iterable[_Union[BigDLModule, _Mapping]]] = ..., weight: _Optional[_Union[BigDLTensor, _Mapping]] = ..., bias: _Optional[_Union[BigDLTensor, _Mapping]] = ..., preModules: _Optional[_Iterable[str]] = ..., moduleType: _Optional[str] = ..., attr: _Optional[_Mapping[str, AttrValue]] = ..., namePostfix: _Optional[str] = ..., hasParameters: bool = ..., parameters: _Optional[_Iterable[_Union[BigDLTensor, _Mapping]]] = ...) -> None: ...

class BigDLTensor(_message.Message):
    __slots__ = ("size", "stride", "offset", "storage")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    stride: _containers.RepeatedScalarFieldContainer[int]
    offset: int
    storage: TensorStorage
    def __init__(self, size: _Optional[_Iterable[int]] = ..., stride: _Optional[_Iterable[int]] = ..., offset: _Optional[int] = ..., storage: _Optional[_Union[TensorStorage, _Mapping]] = ...) -> None: ...

class TensorStorage(_message.Message):
    __slots__ = ("float_data", "double_data", "id")
    FLOAT_DATA_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_DATA_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    float_data: _containers.RepeatedScalarFieldContainer[float]
    double_data: _containers.RepeatedScalarFieldContainer[float]
    id: int
    def __init__(self, float_data: _Optional[_Iterable[float]] = ..., double_data: _Optional[_Iterable[float]] = ..., id: _Optional[int] = ...) -> None: ...

class AttrValue(_message.Message):
    __slots__ = ("dataType", "subType", "int32Value", "int64Value", "floatValue", "doubleValue", "stringValue", "boolValue", "tensorValue", "bigDLModuleValue", "nameAttrListValue", "arrayValue", "dataFormatValue", "customValue")
    class ArrayValue(_message.Message):
        __slots__ = ("i32", "flt", "dbl", "str", "bigDLModule", "nameAttrList", "custom")
        I32_FIELD_NUMBER: _ClassVar[int]
        FLT_FIELD_NUMBER: _ClassVar[int]
        DBL_FIELD_NUMBER: _ClassVar[int]
        STR_FIELD_NUMBER: _ClassVar[int]
        BIGDLMODULE_FIELD_NUMBER: _ClassVar[int]
        NAMEATTRLIST_FIELD_NUMBER: _ClassVar[int]
        CUSTOM_FIELD_NUMBER: _ClassVar[int]
        i32: _containers.RepeatedScalarFieldContainer[int]
        flt: _containers.RepeatedScalarFieldContainer[float]
        dbl: _containers.RepeatedScalarFieldContainer[float]
        str: _containers.RepeatedScalarFieldContainer[str]
        bigDLModule: _containers.RepeatedCompositeFieldContainer[BigDLModule]
        nameAttrList: _containers.RepeatedCompositeFieldContainer[NameAttrList]
        custom: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, i32: _Optional[_Iterable[int]] = ..., flt: _Optional[_Iterable[float]] = ..., dbl: _Optional[_Iterable[float]] = ..., str: _Optional[_Iterable[str]] = ..., bigDLModule: _Optional[_Iterable[_Union[BigDLModule, _Mapping]]] = ..., nameAttrList: _Optional[_Iterable[_Union[NameAttrList, _Mapping]]] = ..., custom: _Optional[_Iterable[bytes]] = ...) -> None: ...
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    INT32VALUE_FIELD_NUMBER: _ClassVar[int]
    INT64VALUE_FIELD_NUMBER: _ClassVar[int]
    FLOATVALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLEVALUE_FIELD_NUMBER: _ClassVar[int]
    STRINGVALUE_FIELD_NUMBER: _ClassVar[int]
    BOOLVALUE_FIELD_NUMBER: _ClassVar[int]
    TENSORVALUE_FIELD_NUMBER: _ClassVar[int]
    BIGDLMODULEVALUE_FIELD_NUMBER: _ClassVar[int]
    NAMEATTRLISTVALUE_FIELD_NUMBER: _ClassVar[int]
    ARRAYVALUE_FIELD_NUMBER: _ClassVar[int]
    DATAFORMATVALUE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMVALUE_FIELD_NUMBER: _ClassVar[int]
    dataType: DataType
    subType: str
    int32Value: int
    int64Value: int
    floatValue: float
    doubleValue: float
    stringValue: str
    boolValue: bool
    tensorValue: BigDLTensor
    bigDLModuleValue: BigDLModule
    nameAttrListValue: NameAttrList
    arrayValue: AttrValue.ArrayValue
    dataFormatValue: InputDataFormat
    customValue: bytes
    def __init__(self, dataType: _Optional[_Union[DataType, str]] = ..., subType: _Optional[str] = ..., int32Value: _Optional[int] = ..., int64Value: _Optional[int] = ..., floatValue: _Optional[float] = ..., doubleValue: _Optional[float] = ..., stringValue: _Optional[str] = ..., boolValue: bool = ..., tensorValue: _Optional[_Union[BigDLTensor, _Mapping]] = ..., bigDLModuleValue: _Optional[_Union[BigDLModule, _Mapping]] = ..., nameAttrListValue: _Optional[_Union[NameAttrList, _Mapping]] = ..., arrayValue: _Optional[_Union[AttrValue.ArrayValue, _Mapping]] = ..., dataFormatValue: _Optional[_Union[InputDataFormat, str]] = ..., customValue: _Optional[bytes] = ...) -> None: ...

class NameAttrList(_message.Message):
    __slots__ = ("attr",)
    class AttrEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: AttrValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[AttrValue, _Mapping]] = ...) -> None: ...
    ATTR_FIELD_NUMBER: _ClassVar[int]
    attr: _containers.MessageMap[str, AttrValue]
    def __init__(self, attr: _Optional[_Mapping[str, AttrValue]] = ...) -> None: ...
